package handlers

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/tokenos/tokenos/apikey"
)

// etag is a key's entity tag: its revision. It stands for the definition; what
// is derived from the clock beside it (status, flags) may change under it.
func etag(k apikey.Key) string { return `"` + strconv.FormatInt(k.Revision, 10) + `"` }

// noRevision is a revision that no key has, for tags that can match nothing.
const noRevision = -1

var (
	tagList = regexp.MustCompile(`^[ \t,]*(?:(?:W/)?"[\x21\x23-\x7e]*"[ \t]*(?:,[ \t,]*|$))+$`)
	oneTag  = regexp.MustCompile(`(W/)?"([1-9][0-9]{0,17})"`)
)

// matchRevision reads If-Match (RFC 9110 section 13.1.1) as the revision a
// change must find, for apikey.UpdateParams.IfMatch. "*" asks for no revision in
// particular: zero. Of several the highest is meant: revisions only grow, so a
// caller who has seen it knows the others are gone. A weak tag never matches
// (RFC 9110 section 8.8.3.2), nor does what cannot be read.
func matchRevision(header string) int64 {
	if strings.TrimSpace(header) == "*" {
		return 0
	}
	highest := int64(noRevision)
	if len(header) > 1024 || !tagList.MatchString(header) {
		return highest
	}
	for _, m := range oneTag.FindAllStringSubmatch(header, -1) {
		if n, err := strconv.ParseInt(m[2], 10, 64); err == nil && m[1] == "" {
			highest = max(highest, n)
		}
	}
	return highest
}
