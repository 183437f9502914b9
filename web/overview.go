package web

import (
	"context"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/web/ui"
)

// figure is one number of the overview and the list behind it.
type figure struct {
	label, hint string
	query       keysQuery
	count       int
	tone        ui.Tone
}

// step is one line of the list of first steps.
type step struct {
	done             bool
	title, text, url string
	link             string
}

type overviewView struct {
	figures      []figure
	counted      bool   // the figures' counts are there
	steps        []step // nil once all are done
	away         map[string]bool
	capabilities apikey.Capabilities
	recent       []apikey.Event
	unreadable   bool // the recent events
	mayDiagnose  bool
	now          time.Time
}

// figureMost is where a figure ends: beyond, the list tells more than the number,
// and to count on takes longer the more keys there are.
const figureMost = 1000

// figureTime is how long the overview waits for its figures. They take longer where
// very many keys must be passed to find few; the page is then shown without, and its
// script asks for them.
const figureTime = 60 * time.Millisecond

func (d *Dashboard) overview(w http.ResponseWriter, r *http.Request) error {
	v := overviewView{figures: figures(), away: d.away(r.Context()), mayDiagnose: mayDiagnose(exchangeFrom(r.Context()).person), now: d.Now()}
	if partial(r) {
		v.counted = true
		if err := d.count(r.Context(), v.figures, d.Now()); err != nil {
			return err
		}
		return d.show(w, r, frame{}, figuresList(v))
	}
	counting, cancel := context.WithTimeout(r.Context(), d.figureTime)
	defer cancel()
	var made, used bool
	g, ctx := errgroup.WithContext(r.Context())
	g.Go(func() error {
		err := d.count(counting, v.figures, d.Now())
		if v.counted = err == nil; counting.Err() != nil {
			return nil // not in time, whatever it says
		}
		return err
	})
	g.Go(func() (err error) {
		made, used, err = d.beginnings(ctx)
		return err
	})
	g.Go(func() (err error) {
		v.capabilities, err = d.API.Capabilities(ctx)
		return err
	})
	g.Go(func() error {
		page, err := d.API.Events(ctx, apikey.FeedParams{Newest: true, Limit: recently})
		v.recent, v.unreadable = page.Data, err != nil
		if err != nil && d.unread(r, err) {
			return nil
		}
		return err
	})
	if err := g.Wait(); err != nil {
		return err
	}
	v.steps = firstSteps(!v.away["hydra"], made, used)
	return d.show(w, r, frame{title: "Overview", section: "overview"}, overviewContent(v))
}

// shown is the count for people.
func (f figure) shown() string {
	if f.count > figureMost {
		return number(figureMost) + "+"
	}
	return number(f.count)
}

// figures are the numbers of the overview, without their counts.
func figures() []figure {
	return []figure{
		{label: "Active", hint: "may buy tokens", query: keysQuery{status: apikey.StatusActive}, tone: ui.ToneOK},
		{label: "Expiring", hint: "expire within 30 days", query: keysQuery{status: apikey.StatusActive, expires: "30d"}, tone: ui.ToneWarn},
		{label: "Unused", hint: "active, not used for 90 days", query: keysQuery{status: apikey.StatusActive, unused: "90d"}, tone: ui.ToneNeutral},
		{label: "Disabled", hint: "paused, may be enabled again", query: keysQuery{status: apikey.StatusDisabled}, tone: ui.ToneNeutral},
	}
}

// count fills the figures in: each is the length of the list that it leads to, or
// figureMost and one if that is longer.
func (d *Dashboard) count(ctx context.Context, all []figure, now time.Time) error {
	g, ctx := errgroup.WithContext(ctx)
	for i := range all {
		g.Go(func() error {
			p := all[i].query.params(now)
			p.Count, p.CountMost, p.Limit = true, figureMost+1, 1
			page, err := d.API.List(ctx, p)
			if err == nil && page.Count != nil {
				all[i].count = *page.Count
			}
			return err
		})
	}
	return g.Wait()
}

// beginnings reports whether there is a key, and one that was used.
func (d *Dashboard) beginnings(ctx context.Context) (made, used bool, err error) {
	page, err := d.API.List(ctx, apikey.ListParams{Sort: "-last_used_at", Limit: 1})
	if err != nil || len(page.Data) == 0 {
		return false, false, err
	}
	return true, page.Data[0].LastUsedAt != nil, nil
}

// firstSteps lead from nothing to a program that calls; nil once all are done.
func firstSteps(hydra, made, used bool) []step {
	if hydra && made && used {
		return nil
	}
	return []step{
		{hydra, "Hydra answers", "It issues the tokens that keys buy.", "", ""},
		{made, "Make a key", "A key lets one program call your APIs.", keysPath + "/new", "New key"},
		{used, "Buy a token with it", "The key's page has the code for curl, JavaScript, Go and Python.", keysPath, "Keys"},
	}
}
