package web

import (
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/web/ui"
)

const (
	soon   = 30 * 24 * time.Hour // a key whose end is this near is shown as expiring
	unused = 90 * 24 * time.Hour // and one that was not used for so long as unused
)

// figure is one number of the overview and the list behind it.
type figure struct {
	label, hint, url string
	count            int
	tone             ui.Tone
}

// step is one line of the list of first steps.
type step struct {
	done             bool
	title, text, url string
	link             string
}

type overviewView struct {
	figures      []figure
	steps        []step // nil once all are done
	away         map[string]bool
	capabilities apikey.Capabilities
	now          time.Time
}

func (d *Dashboard) overview(w http.ResponseWriter, r *http.Request) error {
	v := overviewView{now: d.Now(), away: d.away(r.Context())}
	before, since := v.now.Add(soon).UTC(), v.now.Add(-unused).UTC()
	v.figures = []figure{
		{"Active", "may buy tokens", keysQuery{status: apikey.StatusActive}.url(), 0, ui.ToneOK},
		{"Expiring", "end within 30 days", keysQuery{status: apikey.StatusActive, expires: "30d"}.url(), 0, ui.ToneWarn},
		{"Unused", "active, not used for 90 days", keysQuery{status: apikey.StatusActive, unused: "90d"}.url(), 0, ui.ToneNeutral},
		{"Disabled", "paused, may be enabled again", keysQuery{status: apikey.StatusDisabled}.url(), 0, ui.ToneNeutral},
	}
	all, used := 0, 0
	asked := []struct {
		to *int
		p  apikey.ListParams
	}{
		{&v.figures[0].count, apikey.ListParams{Status: apikey.StatusActive}},
		{&v.figures[1].count, apikey.ListParams{Status: apikey.StatusActive, ExpiresBefore: &before}},
		{&v.figures[2].count, apikey.ListParams{Status: apikey.StatusActive, LastUsedBefore: &since}},
		{&v.figures[3].count, apikey.ListParams{Status: apikey.StatusDisabled}},
		{&all, apikey.ListParams{}},
	}
	g, ctx := errgroup.WithContext(r.Context())
	for _, a := range asked {
		g.Go(func() error {
			a.p.Count, a.p.Limit = true, 1
			page, err := d.API.List(ctx, a.p)
			if err == nil && page.Count != nil {
				*a.to = *page.Count
			}
			return err
		})
	}
	g.Go(func() error {
		page, err := d.API.List(ctx, apikey.ListParams{Sort: "-last_used_at", Limit: 1})
		if err == nil && len(page.Data) > 0 && page.Data[0].LastUsedAt != nil {
			used = 1
		}
		return err
	})
	g.Go(func() (err error) {
		v.capabilities, err = d.API.Capabilities(ctx)
		return err
	})
	if err := g.Wait(); err != nil {
		return err
	}
	v.steps = firstSteps(!v.away["hydra"], all > 0, used > 0)
	return d.show(w, r, frame{title: "Overview", section: "overview"}, overviewContent(v))
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
