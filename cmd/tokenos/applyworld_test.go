package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/manifest"
)

// applying of documents at a service, by someone who may do everything.
type applyTest struct {
	t    *testing.T
	w    *apikeytest.World
	ctx  context.Context
	stop context.CancelFunc
	dir  string // of secrets
}

func newApplyTest(t *testing.T, w *apikeytest.World) *applyTest {
	ctx, cancel := context.WithCancel(apikey.WithCaller(t.Context(), apikeytest.Caller([]apikey.Right{apikey.Admin})))
	t.Cleanup(cancel)
	return &applyTest{t, w, ctx, cancel, t.TempDir()}
}

// apply applies text through api and returns the exit code and what was written.
func (a *applyTest) apply(api apikey.API, text string, o applying) (code int, stdout, stderr string) {
	a.t.Helper()
	var out, words bytes.Buffer
	r := &remote{program: program{stdout: &out, stderr: &words, env: os.Environ()}, printing: printing{format: "table"}, yes: true}
	if o.secretsDir == "" && o.secretCommand == "" {
		o.secretsDir = a.dir
	}
	to, err := r.handover(a.ctx, o)
	if err != nil {
		a.t.Fatal(err)
	}
	docs, err := manifest.Parse([]manifest.Source{{Name: "F", Text: []byte(text)}}, time.Now())
	if err != nil {
		a.t.Fatalf("%v\n%s", err, text)
	}
	err = (&apply{remote: r, applying: o, api: api, to: to}).run(a.ctx, docs)
	if said, ok := errors.AsType[silent](err); ok {
		code = said.code
	} else if err != nil {
		code = codeOf(err)
		words.WriteString("error: " + err.Error())
	}
	if strings.Contains(out.String()+words.String(), "tos_") {
		a.t.Errorf("a secret is told:\n%s%s", out.String(), words.String())
	}
	return code, out.String(), words.String()
}

// want applies text and wants an exit code and the last lines.
func (a *applyTest) want(api apikey.API, text string, code int, plan, done string) {
	a.t.Helper()
	got, stdout, stderr := a.apply(api, text, applying{})
	if got != code || !strings.HasSuffix(stdout, "plan: "+plan+"\n") || !strings.HasSuffix(stderr, done) {
		a.t.Errorf("exit code %d, want %d, plan %q, end %q:\n%s%s", got, code, plan, done, stdout, stderr)
	}
}

func (a *applyTest) make(p apikey.CreateParams) apikey.Issued {
	a.t.Helper()
	if p.Scopes == nil {
		p.Scopes = []string{"s"}
	}
	out, err := a.w.Service.Create(a.ctx, p)
	if err != nil {
		a.t.Fatal(err)
	}
	return out
}

func (a *applyTest) must(_ any, err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

// only is the one key of an owner.
func (a *applyTest) only(owner string) apikey.Key {
	a.t.Helper()
	page, err := a.w.Service.List(a.ctx, apikey.ListParams{Owner: owner})
	if err != nil || len(page.Data) != 1 {
		a.t.Fatalf("%d keys of %s, %v", len(page.Data), owner, err)
	}
	return page.Data[0]
}

func (a *applyTest) files() (names []string) {
	entries, err := os.ReadDir(a.dir)
	a.must(nil, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// meddled is a service where something happens around some calls.
type meddled struct {
	apikey.API
	create func(real func() (apikey.Issued, error)) (apikey.Issued, error)
	update func()
	get    func()
}

func (m meddled) Create(ctx context.Context, p apikey.CreateParams) (apikey.Issued, error) {
	real := func() (apikey.Issued, error) { return m.API.Create(ctx, p) }
	if m.create == nil {
		return real()
	}
	return m.create(real)
}

func (m meddled) Update(ctx context.Context, id string, p apikey.UpdateParams) (apikey.Updated, error) {
	if m.update != nil && !p.DryRun {
		m.update()
	}
	return m.API.Update(ctx, id, p)
}

func (m meddled) Get(ctx context.Context, id string) (apikey.Key, error) {
	if m.get != nil {
		m.get()
	}
	return m.API.Get(ctx, id)
}

// aged is a service whose keys were made a day ago.
type aged struct{ apikey.API }

// paged is a service whose pages have one key.
type paged struct{ apikey.API }
