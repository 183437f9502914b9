package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenos/tokenos/apikey"
)

// feed are the flags of tokenos audit list.
type feed struct {
	apikey.FeedParams
	follow bool
}

// followEvery is how often a followed feed is asked for what is new.
const followEvery = 2 * time.Second

func (p program) auditList() *cobra.Command {
	var o feed
	c := &cobra.Command{
		Use:   "list",
		Short: "List events of all keys at a running server, the oldest first",
		Long: "List events of all keys, the oldest first. With --follow it goes on with what\n" +
			"happens, until Ctrl-C; with -o json each event is then one line.\n\n" + remoteHelp,
		Example: "  tokenos audit list --after 1042 --follow -o json",
	}
	r := p.remote(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if o.After < 0 {
			return usagef("--after must be the id of an event, or 0")
		}
		if o.follow {
			return r.followEvents(c.Context(), o.FeedParams)
		}
		return r.listEvents(c.Context(), o.FeedParams)
	}
	c.Flags().Int64Var(&o.After, "after", 0, "that come after the event of this id")
	c.Flags().IntVar(&o.Limit, "limit", 50, "how many at most, 1 to 200; with --follow, at a time")
	c.Flags().BoolVar(&o.follow, "follow", false, "go on with what happens, until Ctrl-C")
	return c
}

func (r *remote) listEvents(ctx context.Context, p apikey.FeedParams) error {
	api, err := r.open()
	if err != nil {
		return err
	}
	got, err := api.Events(ctx, p)
	if err != nil {
		return err
	}
	page := eventPage{Data: append([]apikey.Event{}, got.Data...), NextCursor: &got.NextCursor}
	if err := r.print(r.stdout, shown{page, eventNames(got.Data), eventGrid(got.Data)}); err != nil {
		return err
	}
	if r.format == "table" && len(got.Data) == p.Limit {
		fmt.Fprintf(r.stderr, "more: --after %s\n", cell(got.NextCursor))
	}
	return nil
}

// followEvents writes events as they come, until it is told to stop. That is its
// proper end.
func (r *remote) followEvents(ctx context.Context, p apikey.FeedParams) error {
	api, err := r.open()
	if err != nil {
		return err
	}
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for first := true; ; {
		got, err := api.Events(ctx, p)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return withHint(err, fmt.Sprintf("go on with --after %d", p.After))
		}
		for _, e := range got.Data {
			if err := r.printEvent(e, first); err != nil {
				return err
			}
			first = false
		}
		if next, err := strconv.ParseInt(got.NextCursor, 10, 64); err == nil {
			p.After = max(p.After, next)
		}
		if len(got.Data) > 0 && len(got.Data) == p.Limit {
			continue // there may be more at once
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// printEvent writes one event, in one line but for YAML.
func (r *remote) printEvent(e apikey.Event, first bool) error {
	switch r.format {
	case "json":
		raw, err := json.Marshal(e)
		if err != nil {
			return err
		}
		_, err = r.stdout.Write(append([]byte(plain(string(raw))), '\n'))
		return err
	case "yaml":
		var b bytes.Buffer
		b.WriteString("---\n")
		if err := writeYAML(&b, e); err != nil {
			return err
		}
		_, err := r.stdout.Write(b.Bytes())
		return err
	}
	g := eventGrid([]apikey.Event{e})
	return r.print(r.stdout, shown{names: eventNames([]apikey.Event{e}), table: followed(g, first && !r.noHeaders)})
}

// widths of a followed table, whose later lines are not known; the last column
// has what room it needs.
var widths = []int{8, 20, 20, 35, 12, 39, 15}

// followed lays a table out by fixed widths.
func followed(g grid, headed bool) grid {
	var out grid
	rows := g.rows
	if headed {
		rows = append([][]string{g.heading}, rows...)
	}
	for _, row := range rows {
		line := ""
		for i, text := range row {
			if i < len(widths) {
				text = fmt.Sprintf("%-*s   ", widths[i], cell(text))
			}
			line += text
		}
		out.add(line)
	}
	return out
}
