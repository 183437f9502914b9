package web

import (
	"net/url"
	"strings"
)

// localPath is an address on this site, path and query, or "/" if it is anything
// else: what somebody wrote into a link must not lead elsewhere after sign-in.
// Browsers read a backslash as a slash and drop tabs and line ends, so only what is
// plain is taken.
func localPath(s string) string {
	const longest = 2000
	if len(s) > longest || !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") ||
		strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == '\\' || r > '~' }) {
		return "/"
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || strings.HasPrefix(u.Path, "//") {
		return "/"
	}
	path := u.EscapedPath()
	if path == signInPath || strings.HasPrefix(path, signInPath+"/") {
		return "/" // there is nothing more to do
	}
	if u.RawQuery != "" {
		path += "?" + u.RawQuery
	}
	return path
}
