package simulation

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// noticeDays are how many days before its expires_at a key is told to be
// expiring.
var noticeDays = []int{30, 14, 7, 1}

// checkStories checks that the events of every key tell a consistent story, and
// the whole of it.
func (s *simulation) checkStories(ctx context.Context, turned int64) {
	for _, k := range s.subjects {
		events, err := s.events(ctx, k.id)
		s.must(err)
		if len(events) == 0 || events[0].Action != apikey.ActionCreate || events[0].Revision != 1 {
			s.fail(k, "its story does not begin with its create: %d events", len(events))
		}
		s.checkStory(k, events, turned)
	}
}

// events are the events of a key, oldest first.
func (s *simulation) events(ctx context.Context, id string) (all []apikey.Event, err error) {
	for p := (apikey.PageParams{Limit: 200}); ; {
		page, err := s.place.inspector.KeyEvents(ctx, id, p)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Data...)
		if p.Cursor = page.NextCursor; p.Cursor == "" {
			slices.Reverse(all)
			return all, nil
		}
	}
}

// story is what a key's events have told so far.
type story struct {
	expires, ends  int64
	setAt          int64 // when expires was set
	told           map[string]bool
	ended, revoked bool
	replaced, gone bool
}

func (s *simulation) checkStory(k *subject, events []apikey.Event, turned int64) {
	t := story{told: map[string]bool{}}
	for i, e := range events {
		if e.Owner != k.owner || e.KeyID != k.id {
			s.fail(k, "event %d is of %s, %s", e.ID, e.KeyID, e.Owner)
		}
		step := int64(1)
		if e.Action == apikey.ActionRevokeTokens || e.Action == apikey.ActionExpiring || e.Action == apikey.ActionDelete {
			step = 0
		}
		if i > 0 && (e.Revision != events[i-1].Revision+step && e.Action != apikey.ActionDelete || e.Action == apikey.ActionCreate) {
			s.fail(k, "event %d, %s, has revision %d after %d", e.ID, e.Action, e.Revision, events[i-1].Revision)
		}
		if t.gone || t.revoked && e.Action != apikey.ActionDelete {
			s.fail(k, "event %d, %s, follows its end", e.ID, e.Action)
		}
		s.tell(k, &t, e)
	}
	if t.gone != k.gone {
		s.fail(k, "gone: %v; its story says %v", k.gone, t.gone)
	}
	if t.gone {
		return
	}
	last := events[len(events)-1].Revision
	if f, ok := k.decided(); ok && (k.revision != last || t.revoked != f.revoked) {
		s.fail(k, "it is at revision %d, revoked %v; its story ends with %d, %v", k.revision, f.revoked, last, t.revoked)
	}
	if !t.revoked {
		s.checkTold(k, t, turned)
	}
}

// tell goes on with the story by one event.
func (s *simulation) tell(k *subject, t *story, e apikey.Event) {
	once := func(what string) {
		if t.told[what] {
			s.fail(k, "event %d tells %s once more", e.ID, what)
		}
		t.told[what] = true
	}
	set := func(name string, to *int64) bool {
		v, found := e.After[name]
		if !found || e.Action == apikey.ActionExpiring {
			return false
		}
		*to = 0
		if text, ok := v.(string); ok {
			at, err := time.Parse(time.RFC3339, text)
			s.must(err)
			*to = at.Unix()
		}
		return true
	}
	if set("expires_at", &t.expires) {
		t.setAt = e.At.Unix()
	}
	set("ends_at", &t.ends)
	switch e.Action {
	case apikey.ActionExpiring:
		once(fmt.Sprintf("%v days before %v", e.After["expires_in_days"], e.After["expires_at"]))
	case apikey.ActionExpire:
		once(fmt.Sprintf("the end at %d", facts{expires: t.expires, ends: t.ends}.end()))
	case apikey.ActionCompleteRotation:
		t.ended = true
	case apikey.ActionRevoke:
		t.revoked = true
	case apikey.ActionDelete:
		t.gone = true
	case apikey.ActionRotate:
		t.replaced = t.replaced || t.ends != 0
	}
}

// checkTold checks that what the clock has done is told.
func (s *simulation) checkTold(k *subject, t story, turned int64) {
	end := facts{expires: t.expires, ends: t.ends}.end()
	if passed(end, turned) && !t.ended && !t.told[fmt.Sprintf("the end at %d", end)] {
		s.fail(k, "its end at %d is not told", end)
	}
	if t.expires == 0 || t.replaced {
		return
	}
	for _, days := range noticeDays {
		at := t.expires - int64(days)*86400
		if at <= t.setAt || at > turned {
			continue
		}
		if what := fmt.Sprintf("%v days before %v", days, time.Unix(t.expires, 0).UTC().Format(time.RFC3339)); !t.told[what] {
			s.fail(k, "%s: not told; told are %v", what, t.told)
		}
	}
}
