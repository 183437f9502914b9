package web

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/web/ui"
)

const (
	bulkPath = keysPath + "/disable"

	maxBulk = 50 // keys that are disabled at once: one page of the list
	atOnce  = 6  // of them, so that others' changes find room as well

	// bulkTime is how long after the request another key is begun: each may take
	// as long as a change may, and the answer must still come in time.
	bulkTime = 4 * time.Second
)

// bulkRow is one of the keys that were chosen, and what became of it.
type bulkRow struct {
	id      string
	key     apikey.Key // zero if it is not there
	pending bool       // accepted; Hydra has not confirmed
	err     error      // nil: done
}

// name is the key's, or the beginning of what was sent as its id.
func (b bulkRow) name() string {
	if b.key.ID == "" {
		return ascii(b.id, 40)
	}
	return b.key.Name
}

func (b bulkRow) told() string {
	switch {
	case b.err != nil:
		return failureOf(b.err).Detail
	case b.pending:
		return "Counts as disabled; Hydra follows as soon as it answers."
	}
	return "Disabled."
}

type bulkView struct {
	rows []bulkRow
	form *form
	now  time.Time
	away bool
}

// failed are the rows that did not come out.
func (v bulkView) failed() (n int) {
	for _, b := range v.rows {
		if b.err != nil {
			n++
		}
	}
	return n
}

// disableSeveral shows the keys that were chosen and, once the person has agreed,
// disables each.
func (d *Dashboard) disableSeveral(w http.ResponseWriter, r *http.Request) error {
	f := posted(r)
	ids := slices.Compact(slices.Sorted(slices.Values(f.Values["id"])))
	switch {
	case len(ids) == 0:
		d.tell(r, ui.ToneWarn, "No key was selected.")
		return d.goTo(w, r, keysPath)
	case len(ids) > maxBulk:
		return &apikey.Error{Kind: apikey.ErrInvalid, Detail: "at most " + strconv.Itoa(maxBulk) + " keys can be disabled at once; nothing was changed"}
	}
	v := bulkView{rows: make([]bulkRow, len(ids)), form: f, now: d.Now(), away: d.away(r.Context())["hydra"]}
	agreed := f.Get("confirmed") != ""
	d.bulkDisable(r.Context(), v.rows, ids, f.once(), agreed)
	if !agreed {
		return d.show(w, r, frame{title: "Disable " + several(len(ids)), section: "keys"}, bulkAsk(v))
	}
	return d.show(w, r, frame{title: "Disabled", section: "keys"}, bulkDone(v))
}

// bulkDisable disables keys, or with act false looks at what that would do. Sent
// again under the same once, it answers again.
func (d *Dashboard) bulkDisable(ctx context.Context, rows []bulkRow, ids []string, once string, act bool) {
	begun := time.Now()
	var g errgroup.Group
	g.SetLimit(atOnce)
	for i, id := range ids {
		g.Go(func() error {
			b := &rows[i]
			b.id = id
			if time.Since(begun) > d.bulkTime {
				b.err = errNotBegun
				return nil
			}
			if b.key, b.err = d.API.Get(ctx, id); b.err != nil {
				return nil
			}
			var res apikey.Result
			res, b.err = d.API.Disable(ctx, id, apikey.DisableParams{DryRun: !act, IdempotencyKey: once + "-" + strconv.Itoa(i)})
			b.pending = res.Pending
			return nil
		})
	}
	_ = g.Wait() // each tells for itself
}

var errNotBegun = &apikey.Error{Kind: apikey.ErrTimeout, Detail: "not begun, because the others took long; nothing was changed, select it again"}

// several counts keys in words.
func several(n int) string {
	if n == 1 {
		return "1 key"
	}
	return strconv.Itoa(n) + " keys"
}
