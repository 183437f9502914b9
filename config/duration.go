package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

const (
	day           = 24 * time.Hour
	durationWords = `a duration such as "500ms", "30s", "1h30m" or "90d"`
)

var errDuration = errors.New("config: expected " + durationWords)

// Duration is a time.Duration whose text form also knows whole days in front:
// "90d", "1d12h". A day is 24 hours. Negative durations have no text form.
type Duration time.Duration

// Std returns the duration as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// ParseDuration reads the text form. Its error does not repeat the text.
func ParseDuration(text string) (Duration, error) {
	days, rest, found := strings.Cut(text, "d")
	if !found {
		days, rest = "0", text
	}
	n, err := strconv.ParseUint(days, 10, 32)
	if err != nil || n > uint64(math.MaxInt64/day) {
		return 0, errDuration
	}
	total := time.Duration(n) * day
	if found && rest == "" {
		return Duration(total), nil
	}
	part, err := time.ParseDuration(rest)
	if err != nil || part < 0 || strings.ContainsAny(rest, "+-") || total > math.MaxInt64-part {
		return 0, errDuration
	}
	return Duration(total + part), nil
}

// String returns the shortest text form: "90d", "1h30m", "5s".
func (d Duration) String() string {
	std := d.Std()
	switch {
	case std == 0:
		return "0s"
	case std%day == 0:
		return strconv.FormatInt(int64(std/day), 10) + "d"
	}
	s := std.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText returns what String returns.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what [ParseDuration] reads.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := ParseDuration(string(text))
	if err != nil {
		return err
	}
	*d = v
	return nil
}

// Schema tells huma and editors the text form. The pattern is wider than
// ParseDuration in size only; Load checks that too.
func (Duration) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type:               huma.TypeString,
		Pattern:            `^(0|[0-9]+d|([0-9]+d)?([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+)$`,
		PatternDescription: durationWords,
	}
}
