package bench

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydra"
	"github.com/tokenos/tokenos/internal/apikeytest"
)

// get reads one of many keys, in no order, beside Hydra's get.
func get(b *testing.B, p *place, callers int) {
	const series = 1000
	var keys, clients []string
	for n := range series {
		i := n * 7_919 % many
		keys, clients = append(keys, seeded(i, many).ID), append(clients, clientID(i))
	}
	nth := func(caller, n int) int { return (caller*137 + n) % series }
	ctx := as(b.Context())
	measure(b, callers, p.sides(b,
		func(api apikey.API, caller, n int) error {
			_, err := api.Get(ctx, keys[nth(caller, n)])
			return err
		},
		func(caller, n int) error { return p.raw.get(clients[nth(caller, n)]) })...)
}

// authenticate finds out whose token it is, beside Hydra's introspection: as the
// service does it, which believes an answer for five seconds, and asking each
// time.
func authenticate(b *testing.B, p *place, callers int) {
	asking, err := hydra.New(hydra.Config{AdminURL: p.Hydra.AdminURL(), TokenFresh: -1})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(asking.Close)
	uncached, err := apikey.New(apikey.Config{Ledger: p.Ledger, Clients: asking, Tokens: asking, ServerSecrets: []apikey.Secret{apikey.NewSecret(apikeytest.ServerSecret)}})
	if err != nil {
		b.Fatal(err)
	}
	with := func(s *apikey.Service) func(int, int) error {
		return func(int, int) error { _, err := s.Authenticate(b.Context(), p.token); return err }
	}
	measure(b, callers,
		side{name: "cached", call: with(p.Service), times: 10},
		side{name: "uncached", call: with(uncached)},
		side{name: hydraSide, call: func(int, int) error { return p.raw.introspect("/admin/oauth2/introspect", p.token) }})
}

// search is a list or search, and Hydra's nearest to it (nil: it has none).
type search struct {
	name   string
	params apikey.ListParams
	want   int // keys on the page
	hydra  url.Values
}

func searches(n int) []search {
	rare, prefix := fmt.Sprint(n/2+1), "54" // 1,111 names have a number that begins so
	if n == some {
		prefix = "5"
	}
	return []search{
		{"small-owner", apikey.ListParams{Owner: "owner-7"}, page, url.Values{"owner": {"owner-7"}}},
		{"big-owner", apikey.ListParams{Owner: bigOwner}, page, url.Values{"owner": {bigOwner}}},
		{"all", apikey.ListParams{}, page, url.Values{}},
		{"rare-word", apikey.ListParams{Q: rare}, 1, url.Values{"client_name": {"billing worker " + rare}}},
		{"medium-word", apikey.ListParams{Q: prefix}, page, nil},
		{"common-word", apikey.ListParams{Q: "billing"}, page, nil},
		{"two-common-words", apikey.ListParams{Q: "billing gateway"}, page, nil},
		{"absent-word", apikey.ListParams{Q: "zebra"}, 0, nil},
		{"word-of-small-owner", apikey.ListParams{Owner: "owner-7", Q: "bil"}, -1, nil},
		{"id-prefix", apikey.ListParams{Q: seeded(n/2, n).ID[:16]}, -1, nil},
		{"rare-label", apikey.ListParams{Label: "rare:yes"}, page, nil},
		{"medium-label", apikey.ListParams{Label: "medium:yes"}, page, nil},
		{"common-label", apikey.ListParams{Label: "team:payments"}, page, nil},
		{"scope", apikey.ListParams{Scope: "orders:read"}, page, nil},
		{"disabled-of-big-owner", apikey.ListParams{Owner: bigOwner, Status: apikey.StatusDisabled}, -1, nil},
		{"by-name", apikey.ListParams{Sort: "name"}, page, nil},
	}
}

// lists reads one page of many keys, by the service and over HTTP, the same of
// fewer keys (x-size: how much slower the larger ledger is), and Hydra's page of
// as many clients where it has such a filter.
func lists(b *testing.B, p *place) {
	small := searches(some)
	for i, s := range searches(many) {
		b.Run(s.name, func(b *testing.B) { p.list(b, 1, s, small[i]) })
	}
	b.Run("last-page", func(b *testing.B) {
		large, small := lastPage(b, p.Service, many), lastPage(b, p.small.Service, some)
		large.hydra = url.Values{"page_token": {from(many - page)}}
		p.list(b, 1, large, small)
	})
	b.Run("small-owner/callers=8", func(b *testing.B) { p.list(b, 8, searches(many)[0], small[0]) })
}

// list measures one search.
func (p *place) list(b *testing.B, callers int, large, small search) {
	ctx := as(b.Context())
	with := func(api apikey.API, s search) func(int, int) error {
		return func(int, int) error {
			s.params.Limit = page
			got, err := api.List(ctx, s.params)
			if err == nil && s.want >= 0 && len(got.Data) != s.want {
				err = fmt.Errorf("got %d keys, want %d", len(got.Data), s.want)
			}
			return err
		}
	}
	const often = 20 // Hydra's answer may take a hundred times as long
	sides := []side{{serviceSide, with(p.Service, large), often}, {restSide, with(p.rest, large), often}, {smallSide, with(p.small.Service, small), often}}
	if large.hydra != nil {
		path := pageOf(large.hydra)
		sides = append(sides, side{hydraSide, func(int, int) error { return p.raw.list(path, large.want) }, 1})
	}
	measure(b, callers, sides...)
}

// lastPage walks to the last page: cursors cannot be made up.
func lastPage(b *testing.B, api apikey.API, keys int) search {
	b.Helper()
	ctx := as(b.Context())
	params := apikey.ListParams{Limit: page * 4}
	for seen := 0; seen < keys-page; {
		got, err := api.List(ctx, params)
		if err != nil {
			b.Fatal(err)
		}
		if seen += len(got.Data); got.NextCursor == "" {
			b.Fatalf("the list ends after %d keys", seen)
		}
		params.Cursor = got.NextCursor
		params.Limit = min(page*4, keys-page-seen)
	}
	return search{params: params, want: page}
}
