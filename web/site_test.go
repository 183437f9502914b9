package web_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"golang.org/x/net/html"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
	"github.com/tokenos/tokenos/internal/ledgertest"
	"github.com/tokenos/tokenos/internal/pgtest"
	"github.com/tokenos/tokenos/web"
)

func TestMain(m *testing.M) { os.Exit(hydratest.Main(databases{m})) }

// databases lets a Postgres run, if a test asks for one, within the run of Hydra.
type databases struct{ m *testing.M }

func (d databases) Run() int { return pgtest.Main(d.m) }

// site is the dashboard over HTTPS on a real ledger and a real Hydra.
type site struct {
	*apikeytest.World
	dashboard *web.Dashboard
	links     *web.Links
	server    *httptest.Server
	log       *lockedBuffer
	visits    []web.Visit
	made      int // keys
	mu        sync.Mutex
}

// newSite serves a dashboard until the test ends; change may edit its Config.
func newSite(t *testing.T, o apikeytest.Options, change func(*site, *web.Config)) *site {
	t.Helper()
	s := &site{World: apikeytest.NewWorld(t, o), log: &lockedBuffer{}}
	s.links = &web.Links{Now: s.Clock.Now}
	s.server = httptest.NewUnstartedServer(nil)
	s.server.StartTLS()
	t.Cleanup(s.server.Close)
	c := web.Config{API: s.Service, Introspector: s.Service, Sessions: s.Ledger, Links: s.links, Now: s.Clock.Now, Log: slog.New(slog.NewJSONHandler(s.log, nil)),
		Parts: map[string]func(context.Context) error{"hydra": s.Clients.Ready, "ledger": s.Ledger.Ping}}
	if change != nil {
		change(s, &c)
	}
	d, err := web.New(c)
	if err != nil {
		t.Fatal(err)
	}
	d.SetFigureTime(time.Minute) // however busy the machine is
	d.SetBulkTime(time.Minute)
	s.dashboard = d
	s.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/test/enter" {
			var p web.Person
			if err := json.Unmarshal([]byte(r.URL.Query().Get("person")), &p); err != nil {
				panic(err)
			}
			d.Enter(w, r, p)
			return
		}
		v := &web.Visit{RequestID: "req_test", Address: "192.0.2.9", Secure: r.TLS != nil}
		if refused := r.Header.Get("Test-Refused"); refused != "" {
			v.Refused = apikey.ErrorKind(refused)
		}
		d.Serve(w, r, v)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.visits = append(s.visits, *v)
	})
	return s
}

// browser has cookies of its own.
type browser struct {
	t      *testing.T
	site   *site
	client *http.Client
}

func (s *site) browser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := *s.server.Client()
	c.Jar = jar
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{t, s, &c}
}

// as is a browser in which a person of that role is signed in.
func (s *site) as(t *testing.T, role web.Role, owners ...string) *browser {
	t.Helper()
	b := s.browser(t)
	b.enter(web.Person{Subject: "ana-" + string(role), Name: "Ana", Role: role, Owners: owners})
	return b
}

func (b *browser) enter(p web.Person) {
	b.t.Helper()
	raw, err := json.Marshal(p)
	if err != nil {
		b.t.Fatal(err)
	}
	if got := b.get("/test/enter?person=" + url.QueryEscape(string(raw))); got.status != 200 {
		b.t.Fatalf("not signed in: %d %s", got.status, got.body)
	}
}

// answer is a page as it came.
type answer struct {
	*goquery.Document
	status int
	header http.Header
	body   string
}

// text is what a part of the page says, its elements apart.
func (a answer) text(selector string) string {
	var words []string
	a.Find(selector).Find("*").AddBack().Contents().Each(func(_ int, e *goquery.Selection) {
		if e.Nodes[0].Type == html.TextNode {
			words = append(words, strings.Fields(e.Text())...)
		}
	})
	return strings.Join(words, " ")
}

func (b *browser) get(path string, headers ...string) answer {
	b.t.Helper()
	return b.do(http.MethodGet, path, nil, headers...)
}

// post sends a form as a browser on the same page does.
func (b *browser) post(path string, form url.Values, headers ...string) answer {
	b.t.Helper()
	return b.do(http.MethodPost, path, form, append([]string{"Sec-Fetch-Site", "same-origin", "Origin", b.site.server.URL}, headers...)...)
}

func (b *browser) do(method, path string, form url.Values, headers ...string) answer {
	b.t.Helper()
	target := path
	if strings.HasPrefix(path, "/") {
		target = b.site.server.URL + path
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, target, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i+1] == "" {
			r.Header.Del(headers[i])
		}
	}
	res, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(res.Body); err != nil {
		b.t.Fatal(err)
	}
	doc, err := goquery.NewDocumentFromReader(strings.NewReader(body.String()))
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{doc, res.StatusCode, res.Header, body.String()}
}

// htmx are the headers with which htmx asks for the part to swap into target.
func htmx(target string) []string {
	return []string{"HX-Request", "true", "HX-Request-Type", "partial", "HX-Target", target}
}

// key puts a key into the ledger, as its creation would have left it: pages read
// the ledger alone, and Hydra is spared.
func (s *site) key(t *testing.T, p apikey.CreateParams, edit ...func(*apikey.Definition)) apikey.Key {
	t.Helper()
	s.made++
	r := ledgertest.Key(s.made * 10)
	d := &r.Definition
	d.ID = apikey.NewID(cmp.Or(p.Environment, apikey.Live), s.Clock.Now())
	d.RootID, d.CreatedAt = d.ID, s.Clock.Now().UTC().Truncate(time.Second).Add(time.Duration(s.made-100)*time.Second) // one after the other
	d.Name, d.Description, d.Labels, d.Owner = p.Name, p.Description, p.Labels, cmp.Or(p.Owner, "acme")
	d.Environment, d.AuthMethod, d.ExpiresAt = cmp.Or(p.Environment, apikey.Live), cmp.Or(p.AuthMethod, apikey.ClientSecretBasic), p.ExpiresAt.Value
	d.Scopes, d.DisabledAt, d.RevokedAt = p.Scopes, nil, nil
	if d.Scopes == nil {
		d.Scopes = []string{"orders:read"}
	}
	for _, e := range edit {
		e(d)
	}
	if err := s.Ledger.Import(t.Context(), []apikey.Record{r}); err != nil {
		t.Fatal(err)
	}
	return r.Key(s.Clock.Now())
}

func wantStatus(t *testing.T, what string, got answer, want int) {
	t.Helper()
	if got.status != want {
		t.Errorf("%s: status %d, want %d: %s", what, got.status, want, got.text("main"))
	}
}

// wantTo checks that an answer leads on to a path.
func wantTo(t *testing.T, what string, got answer, path string) {
	t.Helper()
	if got.status != http.StatusSeeOther || got.header.Get("Location") != path {
		t.Errorf("%s: status %d to %q, want 303 to %q", what, got.status, got.header.Get("Location"), path)
	}
}

// lockedBuffer is a log that many may write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
