package main

import (
	"strings"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// An older key may be retired once its last token has ended: never the one that
// signs, and by force alone where the time is not known or has not come.
func TestMayRetire(t *testing.T) {
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	keys := []apikey.SigningKey{{KID: "signs", Signs: true, CreatedAt: new(now.Add(-time.Hour))}, {KID: "young", ReplacedAt: new(now.Add(-day))},
		{KID: "old", ReplacedAt: new(now.Add(-day - 5*time.Minute))}, {KID: "foreign"}}
	for _, c := range []struct {
		kid         string
		life        time.Duration
		plain, hard string // parts of the refusals; "": none
	}{
		{"signs", day, "signs new tokens", "signs new tokens"},
		{"young", day, "may be good until 2026-11-26T12:05:00Z", ""},
		{"young", time.Hour, "", ""},
		{"old", day, "", ""},
		{"old", 2 * day, "may be good until", ""},
		{"foreign", day, "not known", ""},
		{"nobody", day, "no such key", "no such key"},
	} {
		for force, want := range map[bool]string{false: c.plain, true: c.hard} {
			err := mayRetire(keys, c.kid, c.life, now, force)
			if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s, %v, force %v: %v, want %q", c.kid, c.life, force, err, want)
			}
		}
	}
}
