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

// tags are the entity tags of If-Match or If-None-Match (RFC 9110 section
// 13.1). What cannot be read counts as no tag at all.
type tags struct {
	any    bool
	strong []int64
	weak   []int64
}

var (
	tagList = regexp.MustCompile(`^[ \t,]*(?:(?:W/)?"[\x21\x23-\x7e]*"[ \t]*(?:,[ \t,]*|$))+$`)
	oneTag  = regexp.MustCompile(`(W/)?"([1-9][0-9]{0,17})"`)
)

func parseETags(header string) tags {
	if strings.TrimSpace(header) == "*" {
		return tags{any: true}
	}
	var t tags
	if len(header) > 1024 || !tagList.MatchString(header) {
		return t
	}
	for _, m := range oneTag.FindAllStringSubmatch(header, -1) {
		n, err := strconv.ParseInt(m[2], 10, 64)
		if err != nil {
			continue
		}
		if m[1] == "" {
			t.strong = append(t.strong, n)
		} else {
			t.weak = append(t.weak, n)
		}
	}
	return t
}

// revision is what a change must find, for apikey.UpdateParams.IfMatch. "*"
// asks for no revision in particular: zero. Of several the highest is meant:
// revisions only grow, so a caller who has seen it knows the others are gone.
// A weak tag never matches here (RFC 9110 section 8.8.3.2).
func (t tags) revision() int64 {
	if t.any {
		return 0
	}
	highest := int64(noRevision)
	for _, n := range t.strong {
		highest = max(highest, n)
	}
	return highest
}

// holds reports whether a revision is among the tags, weak ones too.
func (t tags) holds(revision int64) bool {
	if t.any {
		return true
	}
	for _, n := range append(t.strong, t.weak...) {
		if n == revision {
			return true
		}
	}
	return false
}
