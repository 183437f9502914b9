package config

import (
	"regexp"
	"testing"
	"time"
)

// Durations are Go's with whole days in front; everything else is refused.
func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "5s": 5 * time.Second, "1h30m": 90 * time.Minute, "1.5h": 90 * time.Minute, "250ms": 250 * time.Millisecond, "7µs": 7 * time.Microsecond,
		"90d": 90 * day, "1d12h": 36 * time.Hour, "0d": 0, "106751d": 106751 * day,
	} {
		got, err := ParseDuration(text)
		if err != nil || got.Std() != want {
			t.Errorf("%s: got %v, %v, want %v", text, got.Std(), err, want)
		}
		if !regexp.MustCompile(Duration(0).Schema(nil).Pattern).MatchString(text) {
			t.Errorf("%s does not match the schema's pattern", text)
		}
	}
	for _, text := range []string{"", "5", "d", "-1s", "+1s", "1d-1h", "1d+1h", "-1d", "+1d", "1.5d", "1d2", "1dd", "12h1d", "106752d", "106751d24h", "99999999999d", "1 s", "1w", "1_0d", "1s ", "\u06611s"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q is taken as %v", text, got)
		}
	}
}

// The text form is short and reads back as the same duration.
func TestDurationText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 5 * time.Second: "5s", time.Minute: "1m", 2 * time.Hour: "2h", 90 * time.Minute: "1h30m", 90 * day: "90d", time.Hour + time.Second: "1h0m1s",
		1500 * time.Millisecond: "1.5s", 100 * time.Millisecond: "100ms", 36 * time.Hour: "36h", 20 * time.Minute: "20m", 10 * time.Hour: "10h", 30 * time.Second: "30s",
	} {
		if got := Duration(d).String(); got != want {
			t.Errorf("%v prints as %s, want %s", d, got, want)
		}
	}
}

// Whatever is taken prints in a form that is taken again, with the same value.
func FuzzDuration(f *testing.F) {
	for _, s := range []string{"90d", "1d12h", "1.5h", "106751d", "1ns", "0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDuration(text)
		if err != nil {
			return
		}
		if again, err := ParseDuration(d.String()); d < 0 || err != nil || again != d {
			t.Errorf("%q is %d, prints %s, reads back as %d, %v", text, d, d, again, err)
		}
	})
}
