package apikey

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time that reads and writes as text: Go's form, and
// whole days ("90d"). It writes the shortest exact form ("15m", "36h", "90d").
type Duration time.Duration

// ParseDuration reads "15m", "1h30m" or "90d". Errors do not repeat the input.
func ParseDuration(s string) (Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, fmt.Errorf("not a duration such as 15m, 1h30m or 90d")
		}
		return Duration(time.Duration(n) * 24 * time.Hour), nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("not a duration such as 15m, 1h30m or 90d")
	}
	return Duration(d), nil
}

// mostDays bounds the days that are read and written.
const mostDays = 1<<16 - 1

func (d Duration) String() string {
	const day = Duration(24 * time.Hour)
	if d >= 2*day && d <= mostDays*day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// MarshalText writes [Duration.String].
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads [ParseDuration]'s forms.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := ParseDuration(string(b))
	*d = v
	return err
}
