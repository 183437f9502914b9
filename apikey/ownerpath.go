package apikey

import (
	"slices"
	"strings"
)

// OwnerInPath reports whether an owner can stand in a path, percent-encoded.
// One of which a part between slashes is "." or ".." cannot: on the way to the
// server such a path may be made shorter, and name something else.
func OwnerInPath(owner string) bool {
	parts := strings.FieldsFunc(owner, func(r rune) bool { return r == '/' || r == '\\' })
	return !slices.ContainsFunc(parts, func(p string) bool { return p == "." || p == ".." })
}
