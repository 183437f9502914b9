package assertion

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/json"
)

const maxQuoted = 120 // bytes of what is repeated of the assertion

// quote shows a value of the assertion as printable ASCII, cut short.
func quote(v any) string {
	s, isText := v.(string)
	if !isText {
		s = compact(v)
	}
	cut := ""
	if len(s) > maxQuoted {
		s, cut = s[:maxQuoted], "..."
	}
	if !isText && printable(s) { // JSON brings its own quotes
		return s + cut
	}
	return strconv.QuoteToASCII(s) + cut
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// compact is a value as JSON, "" if it has none.
func compact(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(text)
}

// lastSecond is the end of the year 9999.
const lastSecond = 253402300799

// when tells a moment in seconds since 1970, and how far it is.
func when(at int64, now time.Time) string {
	if at < 0 || at > lastSecond {
		return strconv.FormatInt(at, 10) + ", which as seconds since 1970 is no date of ours"
	}
	t := time.Unix(at, 0).UTC()
	d := t.Sub(now.Truncate(time.Second))
	words := "now"
	switch {
	case d > 0:
		words = "in " + span(d)
	case d < 0:
		words = span(-d) + " ago"
	}
	return fmt.Sprintf("%s (%s)", t.Format(time.RFC3339), words)
}

// span is a length of time, from a second, in the largest unit of which it has two.
func span(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{365 * 24 * time.Hour, "year"}, {24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		if n := int64(d / u.unit); n > 1 {
			return fmt.Sprintf("%d %ss", n, u.name)
		}
	}
	if d < 2*time.Second {
		return "1 second"
	}
	return fmt.Sprintf("%d seconds", d/time.Second)
}
