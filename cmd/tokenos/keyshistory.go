package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenos/tokenos/apikey"
)

func (r *remote) keysUsage() *cobra.Command {
	var by, since string
	c := &cobra.Command{
		Use:   "usage ID",
		Short: "Show how many tokens a key asked for, and got",
		Args:  oneID,
		RunE: func(c *cobra.Command, args []string) error {
			p := apikey.UsageParams{By: apikey.UsagePeriod(by)}
			from, err := ago("--since", since, time.Now())
			if err != nil {
				return err
			}
			p.From = from
			return r.usage(c.Context(), args[0], p)
		},
	}
	c.Flags().StringVar(&by, "by", "", "hour or day, of UTC (default day)")
	c.Flags().StringVar(&since, "since", "", "from so long ago on, for example 24h, or a moment (default 24h by hour, 30d by day)")
	return c
}

// ago reads "24h" as before now, or a moment; nil for "".
func ago(flag, text string, now time.Time) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	if d, err := apikey.ParseDuration(text); err == nil && d > 0 {
		return new(now.Add(-time.Duration(d)).UTC()), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return nil, usagef("%s must be a duration such as 24h or 30d, or a moment such as 2027-01-31T00:00:00Z", flag)
	}
	return new(at.UTC()), nil
}

func (r *remote) usage(ctx context.Context, id string, p apikey.UsageParams) error {
	api, err := r.open()
	if err != nil {
		return err
	}
	stop := r.busy(still("waiting for the server"))
	defer stop()
	u, err := api.Usage(ctx, id, p)
	stop()
	if err != nil {
		return err
	}
	table := grid{heading: []string{"FROM", "ISSUED", "DENIED", "WHY"}}
	for _, d := range u.Data {
		table.add(moment(&d.From), fmt.Sprint(d.Issued), fmt.Sprint(d.Denied), denialWords(d.TokenCounts))
	}
	table.add("total", fmt.Sprint(u.Totals.Issued), fmt.Sprint(u.Totals.Denied), denialWords(u.Totals))
	if err := r.print(r.stdout, shown{u, []string{id}, table}); err != nil {
		return err
	}
	if r.format == "table" {
		fmt.Fprint(r.stderr, plain(usageWords(u)))
	}
	return nil
}

// denialWords are the reasons with their numbers.
func denialWords(c apikey.TokenCounts) string {
	var out []string
	for _, reason := range slices.Sorted(maps.Keys(c.DeniedBy)) {
		out = append(out, fmt.Sprintf("%s %d", reason, c.DeniedBy[reason]))
	}
	return strings.Join(out, ", ")
}

// usageWords are what the counts do not tell.
func usageWords(u apikey.Usage) string {
	text := "last used: " + or(moment(u.LastUsedAt), "never, as far as known") + "\n"
	if u.LastDenial != nil {
		text += fmt.Sprintf("last denied: %s, %s\n", moment(&u.LastDenial.At), u.LastDenial.Reason)
	}
	for _, s := range u.Scopes {
		text += fmt.Sprintf("scope %s: last asked for %s\n", s.Scope, or(moment(s.LastAskedAt), "never, as far as known"))
	}
	return text
}

func (r *remote) keysEvents() *cobra.Command {
	var p apikey.PageParams
	c := &cobra.Command{
		Use:   "events ID",
		Short: "Show what happened to a key, the newest first; of a deleted one too",
		Args:  oneID,
		RunE: func(c *cobra.Command, args []string) error {
			api, err := r.open()
			if err != nil {
				return err
			}
			got, err := api.KeyEvents(c.Context(), args[0], p)
			if err != nil {
				return err
			}
			return r.showEvents(got)
		},
	}
	c.Flags().IntVar(&p.Limit, "limit", 50, "how many at most, 1 to 200")
	c.Flags().StringVar(&p.Cursor, "cursor", "", "go on where a list ended")
	return c
}

// eventPage is a list of events as the REST API writes it.
type eventPage struct {
	Data       []apikey.Event `json:"data"`
	NextCursor *string        `json:"next_cursor"`
}

func (r *remote) showEvents(got apikey.Page[apikey.Event]) error {
	page := eventPage{Data: got.Data}
	if page.Data == nil {
		page.Data = []apikey.Event{}
	}
	if got.NextCursor != "" {
		page.NextCursor = &got.NextCursor
	}
	if err := r.print(r.stdout, shown{page, eventNames(page.Data), eventGrid(page.Data)}); err != nil {
		return err
	}
	if r.format == "table" && page.NextCursor != nil {
		fmt.Fprintf(r.stderr, "more: --cursor %s\n", cell(*page.NextCursor))
	}
	return nil
}

func eventNames(events []apikey.Event) []string {
	out := make([]string, len(events))
	for i, e := range events {
		out[i] = strconv.FormatInt(e.ID, 10)
	}
	return out
}

// eventGrid lists events for people. What the members were and are stands in the
// other forms.
func eventGrid(events []apikey.Event) grid {
	g := grid{heading: []string{"ID", "AT", "ACTION", "KEY", "OWNER", "BY", "FROM", "CHANGED"}}
	for _, e := range events {
		g.add(eventRow(e)...)
	}
	return g
}

func eventRow(e apikey.Event) []string {
	changed := slices.Sorted(maps.Keys(e.After))
	for name := range e.Before {
		if _, known := e.After[name]; !known {
			changed = append(changed, name)
		}
	}
	return []string{strconv.FormatInt(e.ID, 10), instant(&e.At), string(e.Action), e.KeyID, e.Owner, e.Principal, cmp.Or(e.Address, "-"), few(changed)}
}
