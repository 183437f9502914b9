package main

import (
	"context"
	"fmt"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// params are what the server is asked; at now.
func (l listing) params(now time.Time) (apikey.ListParams, error) {
	p := l.ListParams
	p.Status, p.Environment = apikey.Status(l.status), apikey.Environment(l.environment)
	p.AuthMethod, p.Kind = apikey.AuthMethod(l.method), apikey.Kind(l.kind)
	if l.expiresWithin != "" {
		d, err := apikey.ParseDuration(l.expiresWithin)
		if err != nil {
			return p, usagef("--expires-within must be a duration such as 12h or 30d")
		}
		p.ExpiresBefore = new(now.Add(time.Duration(d)))
	}
	if l.unusedFor != "" {
		d, err := apikey.ParseDuration(l.unusedFor)
		if err != nil {
			return p, usagef("--unused-for must be a duration such as 12h or 90d")
		}
		p.LastUsedBefore = new(now.Add(-time.Duration(d)))
	}
	if l.all {
		p.Limit = 200
	}
	return p, nil
}

// keyPage is a list as the REST API writes it.
type keyPage struct {
	Data       []apikey.Key `json:"data"`
	NextCursor *string      `json:"next_cursor"`
}

// listKeys shows a page, or all of them.
func (r *remote) listKeys(ctx context.Context, p apikey.ListParams, all bool) error {
	api, err := r.open()
	if err != nil {
		return err
	}
	page := keyPage{Data: []apikey.Key{}}
	stop := r.busy(func(since time.Duration) string { return fmt.Sprintf("reading the list: %s", since) })
	defer stop()
	for {
		got, err := api.List(ctx, p)
		if err != nil {
			return err
		}
		page.Data = append(page.Data, got.Data...)
		p.Cursor, page.NextCursor = got.NextCursor, nil
		if got.NextCursor != "" {
			page.NextCursor = &got.NextCursor
		}
		if !all || got.NextCursor == "" || len(page.Data) >= maxListed {
			break
		}
	}
	stop()
	if err := r.print(r.stdout, shown{page, keyNames(page.Data), keyGrid(page.Data)}); err != nil {
		return err
	}
	if r.format == "table" && page.NextCursor != nil {
		fmt.Fprintf(r.stderr, "more: --cursor %s, or --all\n", cell(*page.NextCursor))
	}
	if r.format == "table" && len(page.Data) == 0 {
		fmt.Fprintln(r.stderr, "no key matches")
	}
	return nil
}
