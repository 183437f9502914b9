package main

import (
	"fmt"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// instant is a moment to the second, for what happens within the minute.
func instant(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// impactFields tell people whom a change concerns: the tokens that are out there,
// and the other keys of the rotation chain.
func impactFields(g *grid, i apikey.Impact) {
	accessFields(g, i.AccessEndsAt)
	for _, o := range i.Others {
		text := fmt.Sprintf("%s (%s), %s", o.ID, o.Name, o.Status)
		if o.EndsAt != nil {
			text += ", ends " + moment(o.EndsAt)
		}
		g.field("goes on", text+", last used "+or(moment(o.LastUsedAt), "never"))
	}
}

// accessFields tell when tokens that were issued before stop working.
func accessFields(g *grid, e *apikey.AccessEnds) {
	if e == nil {
		return
	}
	introspected, offline := instant(e.Introspected), instant(e.Offline)
	switch {
	case introspected == "" && offline == "":
		g.field("tokens issued before", "work until Hydra has followed")
	case introspected == offline:
		g.field("tokens issued before", "work until "+offline)
	default:
		g.field("tokens issued before", "work until "+or(introspected, "Hydra has followed")+" at APIs that introspect")
		g.field("", "work until "+or(offline, "Hydra has followed")+" at APIs that verify offline")
	}
}

// resultFields show a key after an action on it, or before one that is asked about.
func resultFields(res apikey.Result) grid {
	var g grid
	k := res.Key
	g.field("id", k.ID)
	g.field("name", k.Name)
	g.field("owner", k.Owner)
	g.field("status", standingOf(k))
	g.field("expires", moment(k.ExpiresAt))
	g.field("last used", or(moment(k.LastUsedAt), "never"))
	keyMoments(&g, k)
	impactFields(&g, res.Impact)
	return g
}

// showResult writes what an action did, or would do.
func (r *remote) showResult(res apikey.Result) error {
	if err := r.print(r.stdout, shown{res, []string{res.Key.ID}, resultFields(res)}); err != nil {
		return err
	}
	r.tellDryRun(res.DryRun)
	if res.Pending {
		fmt.Fprintf(r.stderr, "accepted, and never lost; Hydra does not answer now and is told as soon as it does: tokenos keys get %s\n", cell(res.Key.ID))
	}
	return nil
}

func (r *remote) tellDryRun(dry bool) {
	if dry {
		fmt.Fprintln(r.stderr, "dry run: nothing was changed")
	}
}
