package keyauth

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// statusLists are the lists that tokens named. Each is fetched when a token first
// names it and then polled, until nobody has asked for it for a while.
type statusLists struct {
	v      *Verifier
	keys   *remoteKeys
	flight singleflight.Group

	mu      sync.Mutex
	polling bool
	lists   map[string]*watched // by address
}

// watched is a list under watch. Guarded by the mutex of statusLists.
type watched struct {
	list        *statusList // nil before the first good one
	err         error       // of the last fetch
	asked, done time.Time   // when a token last named it; when the last fetch ended
}

func newStatusLists(v *Verifier) *statusLists {
	return &statusLists{v: v, lists: map[string]*watched{},
		keys: &remoteKeys{v: v, url: v.config.StatusList.JWKSURL, algorithms: []string{"ES256"}}}
}

// checkStatus asks the token's status list about its key.
func (v *Verifier) checkStatus(ctx context.Context, t *token) *Error {
	if t.status == nil || v.config.StatusList.Off {
		return nil
	}
	if v.lists == nil || !v.lists.ours(t.status.uri) {
		return invalid(BadStatus)
	}
	value, err := v.lists.value(ctx, *t.status)
	if err != nil {
		return err
	}
	switch value {
	case statusValid:
		return nil
	case statusInvalid:
		return invalid(KeyRevoked)
	case statusSuspended:
		return invalid(KeyDisabled)
	}
	return invalid(BadStatus)
}

// ours reports whether the address is one that the configuration allows: nobody
// makes us call another, whatever a token names.
func (s *statusLists) ours(uri string) bool {
	number, ok := strings.CutPrefix(uri, s.v.config.StatusList.URL)
	if !ok || number == "" || len(number) > 6 {
		return false
	}
	return !strings.ContainsFunc(number, func(r rune) bool { return r < '0' || r > '9' })
}

// value looks a place up. With the last good list until that ends, then
// ErrUnavailable.
func (s *statusLists) value(ctx context.Context, p place) (int, *Error) {
	l, err := s.current(ctx, p.uri, false)
	if err != nil {
		return 0, err
	}
	value, ok := l.at(p.index)
	if !ok { // a key younger than the list
		if l, err = s.current(ctx, p.uri, true); err != nil {
			return 0, err
		}
		if value, ok = l.at(p.index); !ok {
			return 0, unavailable(NoStatusList, errors.New("the list does not reach the key's index"))
		}
	}
	return value, nil
}

const listRetry = time.Second // least time between two fetches of a list that a token waits for

// current returns the list. It waits for a fetch if there is no list that counts,
// if polling has fallen behind, or if the caller wants a newer one.
func (s *statusLists) current(ctx context.Context, uri string, newer bool) (*statusList, *Error) {
	now := s.v.config.Now()
	s.mu.Lock()
	w, err := s.watch(uri, now)
	if err != nil {
		s.mu.Unlock()
		return nil, unavailable(NoStatusList, err)
	}
	since := now.Sub(w.done)
	good := w.list != nil && now.Before(w.list.until)
	// In an outage nobody waits for what goes on without it.
	late := w.err == nil && (since >= 2*s.v.config.StatusList.Interval || since < 0)
	wait := late || (newer || !good) && (since >= listRetry || w.done.IsZero())
	s.mu.Unlock()
	if wait {
		select {
		case <-s.refresh(uri):
		case <-ctx.Done():
			return nil, unavailable(Canceled, context.Cause(ctx))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.list == nil || !now.Before(w.list.until) {
		return nil, unavailable(NoStatusList, w.err)
	}
	return w.list, nil
}

// watch returns the watch of a list, beginning it if need be. s.mu is held.
func (s *statusLists) watch(uri string, now time.Time) (*watched, error) {
	w := s.lists[uri]
	if w == nil {
		if len(s.lists) >= maxLists {
			return nil, errors.New("too many lists")
		}
		w = &watched{}
		s.lists[uri] = w
	}
	w.asked = now
	if !s.polling {
		s.polling = true
		s.v.background(s.poll)
	}
	return w, nil
}

// poll fetches all lists under watch at each interval, as long as there are any.
func (s *statusLists) poll(ctx context.Context) {
	tick := time.NewTicker(s.v.config.StatusList.Interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		uris := s.used()
		if len(uris) == 0 {
			return
		}
		for _, uri := range uris {
			s.refresh(uri)
		}
	}
}

// used forgets the lists that nobody asks for any more and names the others. If
// none is left, polling is over.
func (s *statusLists) used() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.v.config.Now()
	var uris []string
	for uri, w := range s.lists {
		if now.Sub(w.asked) >= listIdle {
			delete(s.lists, uri)
			continue
		}
		uris = append(uris, uri)
	}
	s.polling = len(uris) > 0
	return uris
}

// refresh joins the fetch of a list under way or begins one.
func (s *statusLists) refresh(uri string) <-chan singleflight.Result {
	return s.flight.DoChan(uri, func() (any, error) {
		if !s.v.enter() {
			return nil, errClosed
		}
		defer s.v.leave()
		s.mu.Lock()
		w := s.lists[uri]
		var old *statusList
		if w != nil {
			old = w.list
		}
		s.mu.Unlock()
		if w == nil {
			return nil, nil //nolint:nilnil // forgotten meanwhile
		}
		began := time.Now()
		l, err := s.fetch(s.v.life, uri, old)
		s.v.reportFetch(s.v.life, OpStatusList, began, err)
		s.mu.Lock()
		defer s.mu.Unlock()
		w.done, w.err = s.v.config.Now(), err
		if err == nil {
			w.list = l
		}
		return nil, nil //nolint:nilnil // the watch says it all
	})
}

// statusListType is the typ of a Status List Token, and with "application/" before
// it its media type.
const statusListType = "statuslist+jwt"

// fetch gets the list; old, which may be nil, if that has not changed.
func (s *statusLists) fetch(ctx context.Context, uri string, old *statusList) (*statusList, error) {
	r := request{method: http.MethodGet, url: uri, accepts: []string{"application/" + statusListType}, limit: 2 << 20}
	// "Not modified" must not keep a list that is about to end.
	if old != nil && s.v.config.Now().Add(2*s.v.config.StatusList.Interval).Before(old.until) {
		r.etag = old.etag
	}
	a, err := s.v.call(ctx, r)
	switch {
	case err != nil:
		return nil, unavailable(NoStatusList, err)
	case a.status == http.StatusNotModified && r.etag != "":
		return old, nil
	case a.status != http.StatusOK:
		return nil, unavailable(NoStatusList, strange("it is 200"))
	}
	token, bad := readSigned(string(a.body), s.keys.algorithms, []string{statusListType})
	if bad != nil {
		return nil, unavailable(NoStatusList, bad)
	}
	keys, bad := s.keys.find(ctx, token.kid)
	if bad != nil {
		return nil, unavailable(NoStatusList, bad)
	}
	if _, bad := token.verify(keys); bad != nil {
		return nil, unavailable(NoStatusList, bad)
	}
	l, err := readStatusList(token.claims, uri, s.v.config.Now(), s.v.config.Leeway)
	if err != nil {
		return nil, unavailable(NoStatusList, err)
	}
	if !l.follows(old, s.v.config.Now()) {
		return nil, unavailable(NoStatusList, strange("it is not older than the list that is known"))
	}
	l.etag = a.etag
	return l, nil
}
