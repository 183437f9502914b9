//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/hydratest"
)

// report is what tokenos doctor -o json writes.
type report struct {
	Result apikey.CheckResult `json:"result"`
	Checks []finding          `json:"checks"`
	code   int
	stderr string
}

func (r report) named(name string) finding {
	i := slices.IndexFunc(r.Checks, func(f finding) bool { return f.Name == name })
	if i < 0 {
		return finding{}
	}
	return r.Checks[i]
}

// doctor runs the doctor; env comes after the site's and so wins.
func (s *site) doctor(t *testing.T, env []string, args ...string) (r report) {
	t.Helper()
	c := run(t, append(slices.Clone(s.env), env...), append([]string{"doctor", "-o", "json"}, args...)...)
	r.code, r.stderr = c.exit(), c.stderr.String()
	if err := json.Unmarshal([]byte(c.stdout.String()), &r); err != nil {
		t.Fatalf("%v in %s", err, &c.stdout)
	}
	var names []string
	for _, f := range r.Checks {
		names = append(names, f.Name)
		if f.Seen == "" || f.Why == "" || (f.Fix == "") != (f.Result == passed || f.Result == skipped) {
			t.Errorf("says too little or too much: %+v", f)
		}
	}
	if diff := cmp.Diff(checkNames(), names); diff != "" {
		t.Errorf("checks (-want +got):\n%s", diff)
	}
	for _, secret := range []string{siteSecret, hookSecret, nextSecret, otherServerSecret, databasePassword} {
		if strings.Contains(c.stdout.String()+c.stderr.String(), secret) {
			t.Errorf("tells a secret: %s %s", &c.stdout, &c.stderr)
		}
	}
	return r
}

const (
	otherServerSecret = "Wq2Zr8Lk5Np1Xv9Tc4Hm7Jd3Gs6Ba0Ye"
	databasePassword  = "pw-7c1f9e2ab4"
)

// unseen are the checks that cannot be made here: nobody shows a certificate, and
// no DSN was given.
var unseen = []string{"certificates", "hydra_tables"}

// want compares which checks failed, and which were skipped for it or left out;
// all others passed.
// seen are the checks of unseen that are made after all.
func (r report) want(t *testing.T, what string, code int, failures, skips []string, seen ...string) {
	t.Helper()
	got := map[string]apikey.CheckResult{}
	want := map[string]apikey.CheckResult{}
	for _, f := range r.Checks {
		got[f.Name] = f.Result
	}
	for _, c := range checks {
		want[c.name] = passed
		switch {
		case slices.Contains(failures, c.name):
			want[c.name] = failed
		case slices.Contains(skips, c.name), slices.Contains(unseen, c.name) && !slices.Contains(seen, c.name), slices.ContainsFunc(c.needs, func(name string) bool { return want[name] != passed }):
			want[c.name] = skipped
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || r.code != code {
		t.Errorf("%s: exit code %d, want %d; (-want +got):\n%s%+v", what, r.code, code, diff, r.Checks)
	}
	result, ended := passed, ""
	if len(failures) > 0 {
		result, ended = failed, fmt.Sprintf("\"detail\": \"%d of %d checks failed: %s\"\n}\n", len(failures), len(want), strings.Join(failures, ", "))
	}
	if r.Result != result || !strings.HasSuffix(r.stderr, ended) {
		t.Errorf("%s: result %q, says %q, want %q", what, r.Result, r.stderr, ended)
	}
}

// Beside a running server of a healthy installation every check passes, whatever
// else it does, and each thing that is broken is the one check that fails.
func TestDoctor(t *testing.T) {
	s, _ := hookedSite(t, hookSecret)
	management := s.bootstrap(t)
	c := s.serve(t)
	eventually(t, func(ctx context.Context) error { return s.ready(ctx, http.StatusOK) })
	healthy := s.doctor(t, nil)
	healthy.want(t, "healthy", exitOK, nil, nil)
	s.asks(t, management)
	if seen := healthy.named("server_secret").Seen; !strings.Contains(seen, "the newest event was written under it") {
		t.Errorf("of the server secret: %s", seen)
	}

	s.doctor(t, []string{"TOKENOS_SECRET=" + otherServerSecret}).want(t, "wrong server secret", exitFailed, []string{"server_secret"}, nil)
	s.doctor(t, []string{"TOKENOS_SECRET=" + otherServerSecret, "TOKENOS_PREVIOUS_SECRETS=" + siteSecret}).want(t, "previous server secret", exitOK, nil, nil)

	empty := filepath.Join(t.TempDir(), "empty.db")
	put(t, empty, nil)
	for what, file := range map[string]string{"empty ledger": empty, "no ledger": empty + "x"} {
		r := s.doctor(t, []string{"TOKENOS_LEDGER_URL=sqlite://" + file})
		r.want(t, what, exitFailed, []string{"ledger"}, nil)
		if fix := r.named("ledger").Fix; fix != "run `tokenos migrate`" {
			t.Errorf("%s: fix %s", what, fix)
		}
	}
	s.doctor(t, []string{"TOKENOS_LEDGER_URL=postgres://tokenos:" + databasePassword + "@127.0.0.1:1/tokenos"}).want(t, "database away", exitUnavailable, []string{"ledger"}, nil)

	s.doctor(t, []string{"TOKENOS_HYDRA_ADMIN_URL=http://127.0.0.1:1"}).want(t, "admin API away", exitUnavailable, []string{"hydra_admin"}, nil)
	s.doctor(t, []string{"TOKENOS_HYDRA_PUBLIC_URL=" + s.hydra.AdminURL()}).want(t, "public URL of another port", exitUnavailable, []string{"hydra_token_endpoint"}, nil)

	s.doctor(t, []string{"TOKENOS_HYDRA_ADMIN_URL=" + skewedHydra(t, s.hydra.AdminURL(), time.Minute)}).want(t, "clock ahead", exitFailed, []string{"hydra_clock"}, nil)
	r := s.doctor(t, []string{"TOKENOS_HYDRA_ADMIN_URL=" + skewedHydra(t, s.hydra.AdminURL(), -10*time.Second)})
	if f := r.named("hydra_clock"); r.code != exitOK || r.Result != warned || f.Result != warned || !strings.Contains(f.Seen, "behind") {
		t.Errorf("clock behind: exit code %d, %+v", r.code, f)
	}

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.hydra.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	s.doctor(t, nil).want(t, "Hydra stopped", exitUnavailable, []string{"hydra_admin", "hydra_token_endpoint"}, nil)
	s.stop(t, c)
}

// asks wants the same of the running server, of itself, for an admin alone.
func (s *site) asks(t *testing.T, management hydratest.Purchase) {
	t.Helper()
	get := func(header ...string) answer {
		return ask(t.Context(), http.DefaultClient, http.MethodGet, "http://"+s.api+"/v1/doctor", "", append(header, "X-Forwarded-Proto", "https")...)
	}
	if a := get(); a.status != http.StatusUnauthorized {
		t.Errorf("a stranger gets %d", a.status)
	}
	a := get("Authorization", "Bearer "+hydratest.MustBuy(t, management))
	r := report{}
	if err := json.Unmarshal([]byte(a.body), &r); err != nil || a.status != http.StatusOK {
		t.Fatalf("GET /v1/doctor: %d %s %v", a.status, a.body, err)
	}
	r.want(t, "by the server itself", 0, nil, nil)
}

// skewedHydra stands before a Hydra and has its clock be wrong.
func skewedHydra(t *testing.T, target string, by time.Duration) string {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	p := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }, ModifyResponse: func(r *http.Response) error {
		r.Header.Set("Date", time.Now().Add(by).UTC().Format(http.TimeFormat))
		return nil
	}})
	t.Cleanup(p.Close)
	return p.URL
}

// A hook that Hydra does not ask, cannot reach, or asks with a wrong secret fails,
// and the fix names Hydra's setting. So does an installation without one, unless
// it is told that this is on purpose.
func TestDoctorHook(t *testing.T) {
	for _, c := range []struct {
		name, shown string
		serves      bool
		seen        string
	}{
		{"not asked", "", true, "Hydra asks no hook"},
		{"asked with a wrong secret", otherServerSecret, true, "shows it a wrong secret"},
		{"nobody there", hookSecret, false, "hook fails"},
	} {
		s, at := hookedSite(t, c.shown)
		if c.serves {
			s.serve(t)
		}
		r := s.doctor(t, nil)
		r.want(t, c.name, exitFailed, []string{"token_hook"}, nil)
		f := r.named("token_hook")
		want := `in Hydra's configuration set oauth2.token_hook`
		if !strings.Contains(f.Seen, c.seen) || !strings.Contains(f.Fix, want) || !strings.Contains(f.Fix, `{url: "http://`+at+`/hooks/hydra/token", auth: {type: api_key, config: {in: header, name: Tokenos-Hook-Secret, value: HOOK_SECRET}}}`) {
			t.Errorf("%s: %+v", c.name, f)
		}
		if !c.serves && !strings.Contains(r.stderr, "checking token_hook: ") { // Hydra tries for three seconds
			t.Errorf("%s: nothing was said meanwhile: %s", c.name, r.stderr)
		}
	}
	s := newSite(t, hydratest.Shared(t).AdminURL(), "trusted_proxies: [127.0.0.1]")
	r := s.doctor(t, nil)
	r.want(t, "no hook", exitFailed, []string{"token_hook"}, nil)
	if fix := r.named("token_hook").Fix; !strings.Contains(fix, "hook.listen") || !strings.Contains(fix, "oauth2.token_hook") {
		t.Errorf("no hook: fix %s", fix)
	}
	s.doctor(t, nil, "--skip", "token_hook").want(t, "no hook, on purpose", exitOK, nil, []string{"token_hook"})
}

// What is wrong with the configuration is all listed, and nothing else is asked.
func TestDoctorConfiguration(t *testing.T) {
	s := newSite(t, hydratest.Shared(t).AdminURL(), "trusted_proxies: [127.0.0.1]")
	r := s.doctor(t, []string{"TOKENOS_SERVER_LISTEN=nowhere", "TOKENOS_LOG_LEVEL=loud"})
	r.want(t, "wrong settings", exitUsage, []string{"configuration"}, nil)
	if seen := r.named("configuration").Seen; !strings.Contains(seen, "server.listen") || !strings.Contains(seen, "log.level") {
		t.Errorf("sees %s", seen)
	}
	if err := os.Chmod(filepath.Join(s.dir, "tokenos.yaml"), 0o644); err != nil {
		t.Fatal(err)
	}
	r = s.doctor(t, nil, "--skip", "token_hook")
	if f := r.named("files"); f.Result != warned || r.code != exitOK || r.named("configuration").Result != passed || !strings.Contains(f.Seen, "can be read by every user") {
		t.Errorf("a file that is open: exit code %d, %+v", r.code, f)
	}
}

// A doctor that waits may be told to stop, and has written nothing by then.
func TestDoctorInterrupted(t *testing.T) {
	proxy := hydratest.NewProxy(t, hydratest.Shared(t).AdminURL())
	proxy.Inject(hydratest.Hang())
	s := newSite(t, proxy.URL(), "trusted_proxies: [127.0.0.1]")
	c := run(t, s.env, "doctor", "--hydra.timeout", "15s", "--hydra.change_timeout", "20s")
	eventually(t, func(context.Context) error {
		if proxy.Received(http.MethodGet, "/health/ready") == 0 {
			return errors.New("Hydra was not asked")
		}
		return nil
	})
	c.signal(syscall.SIGINT)
	if code := c.exit(); code != exitInterrupted || c.stdout.String() != "" {
		t.Errorf("exit code %d, stdout %q", code, &c.stdout)
	}
}

// Clocks are compared as well as the way there and the steps of the other allow.
func TestCompareClocks(t *testing.T) {
	for _, c := range []struct {
		name  string
		ahead time.Duration
		step  time.Duration
		want  apikey.CheckResult
	}{
		{"same", 0, time.Millisecond, passed}, {"a second", time.Second, time.Millisecond, passed}, {"ahead", 3 * time.Second, time.Millisecond, warned},
		{"behind", -3 * time.Second, time.Millisecond, warned}, {"far ahead", time.Minute, time.Second, failed}, {"far behind", -time.Minute, time.Second, failed},
		{"perhaps the step", -2500 * time.Millisecond, time.Second, passed},
	} {
		got := compareClocks(t.Context(), "the other's", func(context.Context) (time.Time, error) { return time.Now().Add(c.ahead), nil }, c.step)
		if got.Result != c.want {
			t.Errorf("%s: %+v, want %s", c.name, got, c.want)
		}
	}
	if got := compareClocks(t.Context(), "the other's", func(context.Context) (time.Time, error) { return time.Time{}, errors.New("gone") }, 0); got.Result != failed || got.code != exitUnavailable {
		t.Errorf("no answer: %+v", got)
	}
}

// What there is no time for is skipped, and asks nobody.
func TestDoctorWithoutTime(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, f := range (&patient{}).examined(ctx, nil, func(string) {}) {
		if f.Result != skipped || f.Seen == "" || f.Why == "" {
			t.Errorf("%+v", f)
		}
	}
}

// Of several failures the one that trying again does not help decides how the
// program ends; a check needs only checks before it.
func TestDoctorEnds(t *testing.T) {
	gone, wrong := away(errors.New("gone"), ""), bad("wrong", "")
	for _, c := range []struct {
		all  []finding
		want int
	}{{nil, exitOK}, {[]finding{good(""), unwise("", "")}, exitOK}, {[]finding{gone, good("")}, exitUnavailable}, {[]finding{gone, wrong, gone}, exitFailed}, {[]finding{wrong, gone}, exitFailed}} {
		got := exitOK
		if ill, is := errors.AsType[unwell](ending(c.all, false)); is {
			got = ill.code
		}
		if got != c.want {
			t.Errorf("%+v: exit code %d, want %d", c.all, got, c.want)
		}
	}
	if err := ending([]finding{good(""), unwise("", "")}, true); err == nil {
		t.Error("a warning is no error, strictly")
	}
	if ill, _ := errors.AsType[unwell](ending([]finding{gone, unwise("", "")}, true)); ill.code != exitUnavailable || ill.what != "failed" {
		t.Errorf("a failure beside a warning: %+v", ill)
	}
	seen := map[string]bool{}
	for _, c := range checks {
		for _, name := range c.needs {
			if !seen[name] {
				t.Errorf("%s needs %s, which does not come before it", c.name, name)
			}
		}
		seen[c.name] = true
	}
}
