package crashtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/handlers"
	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/hydratest"
	"github.com/tokenos/tokenos/internal/pgtest"
)

// Killed while tokens are bought, on SQLite: what is counted is never more than
// was issued or denied, and of that only about the last second before each kill
// is missing.
func TestCrashUsageSQLite(t *testing.T) {
	crashUsage(t, "sqlite://"+filepath.Join(t.TempDir(), "ledger.db"))
}

// The same on Postgres.
func TestCrashUsagePostgres(t *testing.T) {
	crashUsage(t, pgtest.URL(t))
}

func crashUsage(t *testing.T, ledger string) {
	seedOnce(t)
	r := rand.New(rand.NewPCG(*seed, 7))
	p, keys := newCounted(t, ledger)
	stop := buyers(*seed, keys...)
	allowed := min(time.Second+2*p.countedAfter(), 5*time.Second)
	var kills []span
	for n := range max(6, *runs/16) {
		lives := time.Duration(r.IntN(2000)) * time.Millisecond // the random point
		if n%2 == 1 {
			lives += allowed // so that some must be counted
		}
		time.Sleep(lives)
		at := time.Now()
		p.kill()
		kills = append(kills, span{at, time.Now()})
		p.start()
	}
	stop()
	p.stop()
	p.start()
	for _, k := range keys {
		told, outcome := k.issued, apikey.Denial("")
		if k.Key.Name == "disabled" {
			told, outcome = k.denied, apikey.DeniedDisabled
		}
		p.toldOnce(k)
		c := p.usage(k).Totals
		counted := c.Issued + c.DeniedBy[outcome]
		if c.Issued+c.Denied != counted || len(k.issued)+len(k.denied) != len(told) {
			t.Errorf("%s: %d issued and %d denied, counted %+v", k.Key.Name, len(k.issued), len(k.denied), c)
		}
		most, fewest := k.most(told, kills), least(told, kills, allowed)
		t.Logf("%s: %d answered, %d not, counted %d: as if each of %d kills had lost the last %s", k.Key.Name, len(told), len(k.failed), counted, len(kills), loss(told, kills, counted))
		if counted > most || counted < fewest || fewest == 0 {
			t.Errorf("%s: %d answered, counted %d; want %d to %d, which allows for the last %s before a kill", k.Key.Name, len(told), counted, fewest, most, allowed)
		}
	}
}

// While Postgres takes batches and its answers are lost, and loses others, every
// token counts once.
func TestCrashUsageLostAnswers(t *testing.T) {
	seedOnce(t)
	lossy, ledger := newLossy(t, pgtest.URL(t), rand.New(rand.NewPCG(*seed, 8)))
	p, keys := newCounted(t, ledger)
	stop := buyers(*seed, keys...)
	lossy.on.Store(true)
	for until := time.Now().Add(90 * time.Second); lossy.answers.Load() < 4 || lossy.commits.Load() < 2; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%d answers and %d commits were lost", lossy.answers.Load(), lossy.commits.Load())
		}
	}
	stop()
	lossy.on.Store(false)
	p.stop()
	p.start()
	t.Logf("%d answers and %d commits were lost", lossy.answers.Load(), lossy.commits.Load())
	for _, k := range keys {
		p.toldOnce(k)
		u, issued, denied, failed := p.usage(k), int64(len(k.issued)), int64(len(k.denied)), int64(len(k.failed))
		if u.Totals.Issued < issued || u.Totals.Issued > issued+failed || u.Totals.Denied < denied || u.Totals.Denied > denied+failed || issued+denied == 0 {
			t.Errorf("%s: %d issued, %d denied, %d failed; counted %d and %d", k.Key.Name, issued, denied, failed, u.Totals.Issued, u.Totals.Denied)
		}
	}
}

// newCounted starts the program with a Hydra that asks it, and makes keys: two
// that work and one that is disabled.
func newCounted(t *testing.T, ledger string) (*product, []*till) {
	t.Helper()
	port, err := hydradev.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	const secret = "crash-test-hook-secret-0123456789abcdef"
	at := fmt.Sprintf("127.0.0.1:%d", port)
	h := hydratest.New(t, hydradev.Config{TokenHook: &hydradev.TokenHook{URL: "http://" + at + handlers.HookPath, Header: handlers.HookHeader, Value: secret}})
	p := newProductOn(t, h, ledger, "TOKENOS_HOOK_LISTEN="+at, "TOKENOS_HOOK_SECRET="+secret)
	p.start()
	var keys []*till
	for _, name := range []string{"one", "two", "disabled"} {
		issued, err := p.api().Create(t.Context(), apikey.CreateParams{Name: name, Owner: p.owner, Scopes: []string{"a"}})
		if err != nil {
			t.Fatal(err)
		}
		if name == "disabled" {
			if _, err := p.api().Disable(t.Context(), issued.Key.ID, apikey.DisableParams{}); err != nil {
				t.Fatal(err)
			}
		}
		keys = append(keys, &till{Issued: issued, tokenURL: h.TokenURL()})
	}
	return p, keys
}

// countedAfter is how long it takes here, at the longest of a few times, until a
// token is counted: a second, and what this machine is slower.
func (p *product) countedAfter() (longest time.Duration) {
	p.t.Helper()
	issued, err := p.api().Create(p.t.Context(), apikey.CreateParams{Name: "probe", Owner: p.owner, Scopes: []string{"a"}})
	if err != nil {
		p.t.Fatal(err)
	}
	k := &till{Issued: issued, tokenURL: p.hydra.TokenURL()}
	for n := range 3 {
		at := time.Now()
		k.buy(p.t.Context())
		if len(k.issued) != n+1 {
			p.t.Fatal("no token")
		}
		for p.usage(k).Totals.Issued < int64(n+1) {
			if time.Since(at) > time.Minute {
				p.t.Fatal("a token is never counted")
			}
			time.Sleep(10 * time.Millisecond)
		}
		longest = max(longest, time.Since(at))
	}
	return longest
}

// toldOnce checks that one event tells of each hour in which the key was denied
// tokens, and of no more than were.
func (p *product) toldOnce(k *till) {
	p.t.Helper()
	u, err1 := p.api().Usage(p.t.Context(), k.Key.ID, apikey.UsageParams{By: apikey.ByHour})
	page, err2 := p.api().KeyEvents(p.t.Context(), k.Key.ID, apikey.PageParams{})
	if err := errors.Join(err1, err2); err != nil {
		p.t.Fatal(err)
	}
	hours, events, told := 0, 0, 0.0
	for _, h := range u.Data {
		if h.Denied > 0 {
			hours++
		}
	}
	for _, e := range page.Data {
		if n, ok := e.After["denied"].(float64); ok && e.Action == apikey.ActionDeny {
			events, told = events+1, told+n
		}
	}
	if events != hours || told > float64(u.Totals.Denied) || (told == 0) != (hours == 0) {
		p.t.Errorf("%s: %d events tell of %v of %d denials in %d hours", k.Key.Name, events, told, u.Totals.Denied, hours)
	}
}

func (p *product) usage(k *till) apikey.Usage {
	p.t.Helper()
	u, err := p.api().Usage(p.t.Context(), k.Key.ID, apikey.UsageParams{})
	if err != nil {
		p.t.Fatal(err)
	}
	return u
}
