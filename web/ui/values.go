package ui

import (
	"fmt"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// Tone says how something is meant. It never stands alone: words say it too.
type Tone string

const (
	ToneNeutral Tone = "neutral"
	ToneOK      Tone = "ok"
	ToneWarn    Tone = "warn"
	ToneBad     Tone = "bad"
	ToneInfo    Tone = "info"
)

// Kind of a button.
type Kind string

const (
	Primary Kind = "primary"
	Plain   Kind = "plain"
	Danger  Kind = "danger"
	Quiet   Kind = "quiet" // no border
)

// FieldProps describe one field of a form. ID is its name in the form as well, and
// where an error summary leads to.
type FieldProps struct {
	ID, Label string
	Hint      string // "" for none
	Error     string // "" for none
	Required  bool
}

// describedBy is what a field's aria-describedby names: its hint, its error.
func (f FieldProps) describedBy() string {
	out := ""
	if f.Hint != "" {
		out = f.ID + "-hint"
	}
	if f.Error != "" {
		if out != "" {
			out += " "
		}
		out += f.ID + "-error"
	}
	return out
}

// InputProps are a field with one line of text.
type InputProps struct {
	FieldProps
	Type         string // "" means text
	Value        string
	Autocomplete string // "" means off
	MaxLength    int    // 0: no limit that the browser knows
}

// Option is one choice of a select.
type Option struct{ Value, Label string }

// Options are choices: a value, its label, the next value and so on.
func Options(pairs ...string) (out []Option) {
	for i := 0; i+1 < len(pairs); i += 2 {
		out = append(out, Option{Value: pairs[i], Label: pairs[i+1]})
	}
	return out
}

// FormError is one line of an error summary. ID is that of the field; "" for none.
type FormError struct{ ID, Text string }

// Sort is how one column of a table is ordered.
type Sort struct {
	Label string
	URL   string // orders by this column, or the other way round
	Order string // "ascending", "descending", "" if another column orders
}

// StatusTone is how a key's status is meant.
func StatusTone(s apikey.Status) Tone {
	switch s {
	case apikey.StatusActive:
		return ToneOK
	case apikey.StatusDisabled:
		return ToneWarn
	case apikey.StatusExpired, apikey.StatusRevoked:
		return ToneNeutral
	}
	return ToneNeutral
}

// Ago says how long t is from now, past or to come, in the largest unit that fits:
// "3 min ago", "in 21 days".
func Ago(t, now time.Time) string {
	d := now.Sub(t)
	if d < 0 {
		if -d < time.Minute {
			return "in a moment"
		}
		return "in " + span(-d)
	}
	if d < time.Minute {
		return "just now"
	}
	return span(d) + " ago"
}

func span(d time.Duration) string {
	const day = 24 * time.Hour
	for _, u := range []struct {
		size      time.Duration
		one, many string
	}{{365 * day, "year", "years"}, {60 * day, "", ""}, {day, "day", "days"}, {time.Hour, "hour", "hours"}, {time.Minute, "min", "min"}} {
		if d < u.size {
			continue
		}
		if u.one == "" { // months, whose lengths differ
			return fmt.Sprintf("%d months", int(d/(30*day)))
		}
		n := int(d / u.size)
		if n == 1 {
			return "1 " + u.one
		}
		return fmt.Sprintf("%d %s", n, u.many)
	}
	return "a moment"
}

// stamp is a moment for machines, full is for people.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
func full(t time.Time) string  { return t.UTC().Format("2 January 2006, 15:04:05 UTC") }

// short is a long value's beginning and end.
func short(s string) string {
	const head, tail = 13, 5
	if len(s) <= head+tail+3 {
		return s
	}
	return s[:head] + "\u2026" + s[len(s)-tail:]
}
