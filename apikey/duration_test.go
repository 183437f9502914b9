package apikey_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// A duration is read in Go's form or in whole days, and written in the shortest
// form that is exact.
func TestDurationForms(t *testing.T) {
	for _, c := range []struct {
		in, out string
		want    time.Duration
	}{
		{"15m", "15m", 15 * time.Minute},
		{"15m0s", "15m", 15 * time.Minute},
		{"90s", "1m30s", 90 * time.Second},
		{"1h30m", "1h30m", 90 * time.Minute},
		{"1h0m5s", "1h0m5s", time.Hour + 5*time.Second},
		{"10m", "10m", 10 * time.Minute},
		{"10h", "10h", 10 * time.Hour},
		{"36h", "36h", 36 * time.Hour},
		{"1d", "24h", 24 * time.Hour},
		{"47h", "47h", 47 * time.Hour},
		{"48h", "2d", 48 * time.Hour},
		{"49h", "49h", 49 * time.Hour},
		{"90d", "90d", 90 * 24 * time.Hour},
		{"0d", "0s", 0},
		{"0", "0s", 0},
		{"0s", "0s", 0},
		{"1.5h", "1h30m", 90 * time.Minute},
		{"250ms", "250ms", 250 * time.Millisecond},
		{"-5m", "-5m", -5 * time.Minute},
		{"65535d", "65535d", 65535 * 24 * time.Hour},
		{"1572864h", "1572864h", 65536 * 24 * time.Hour}, // more days than are read
	} {
		d, err := apikey.ParseDuration(c.in)
		if err != nil || time.Duration(d) != c.want {
			t.Errorf("%q is read as %v, %v, want %v", c.in, time.Duration(d), err, c.want)
		}
		if d.String() != c.out {
			t.Errorf("%q is written as %q, want %q", c.in, d, c.out)
		}
	}
}

// What is written can be read again and is the same, to the nanosecond and to
// the ends of the range.
func TestDurationRoundTrip(t *testing.T) {
	lengths := []time.Duration{0, 1, -1, time.Second - 1, time.Minute, time.Hour, 24 * time.Hour, 48 * time.Hour, 65535 * 24 * time.Hour, 65536 * 24 * time.Hour, math.MaxInt64, math.MinInt64}
	for d := time.Duration(0); d < 30*time.Hour; d += 7*time.Minute + 13*time.Second {
		lengths = append(lengths, d, -d, d.Truncate(time.Minute), d.Truncate(time.Hour))
	}
	for _, want := range lengths {
		raw, err := json.Marshal(apikey.Duration(want))
		if err != nil {
			t.Fatal(err)
		}
		var got apikey.Duration
		if err := json.Unmarshal(raw, &got); err != nil || time.Duration(got) != want {
			t.Errorf("%v is written as %s and read as %v, %v", want, raw, time.Duration(got), err)
		}
	}
}

// Everything else is refused, and the error does not repeat it.
func TestDurationRefused(t *testing.T) {
	for _, in := range []string{
		"", " ", "d", "15", "15 m", " 15m", "15m ", "15M", "15min", "1d12h", "1.5d", "-1d", "+1d", "1_0d", "0x10d", "65536d", "99999999999999999999d",
		"1e3s", "NaN", "Inf", "forever", "P90D", "1w", "1y", "9999999h", "15m\x00", "١٥m", "15ｍ", "1dd",
	} {
		d, err := apikey.ParseDuration(in)
		if err == nil {
			t.Errorf("%q is read as %v", in, d)
			continue
		}
		if trimmed := strings.TrimSpace(in); len(trimmed) > 3 && strings.Contains(err.Error(), trimmed) {
			t.Errorf("the error repeats %q: %v", in, err)
		}
	}
	for _, raw := range []string{`15`, `900`, `1e9`, `null1`, `true`, `{}`, `["15m"]`, `"canary-canary"`} {
		var d apikey.Duration
		if err := json.Unmarshal([]byte(raw), &d); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("JSON %s is read as %v, %v", raw, d, err)
		}
	}
}
