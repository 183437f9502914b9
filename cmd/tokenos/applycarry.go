package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/manifest"
)

// carryAll does what was planned, one key after the other. A failure does not
// stop the others. Ctrl-C lets the key at hand be finished, so that its secret is
// not lost, and begins no other.
func (a *apply) carryAll(ctx context.Context) {
	var begun atomic.Int64
	all := a.counts()
	of := all.Create + all.Change + all.Revoke + all.HandOver
	stop := a.busy(func(since time.Duration) string {
		return fmt.Sprintf("applying: %d of %d after %s", begun.Load(), of, since)
	})
	defer stop()
	capable, _ := a.api.Capabilities(ctx) // for words only
	for _, s := range a.steps {
		switch {
		case !s.changes():
			continue
		case ctx.Err() != nil:
			s.state = "not_begun"
			continue
		}
		begun.Add(1)
		s.state = "done"
		if s.err = a.carry(context.WithoutCancel(ctx), s, capable.TokenURL); s.err != nil {
			s.state = "failed"
		}
		a.tell(s)
	}
}

func (a *apply) carry(ctx context.Context, s *step, tokenURL string) error {
	if s.Action == manifest.Create || s.resume {
		if err := a.create(ctx, s, tokenURL); err != nil {
			return err
		}
	}
	switch s.Action {
	case manifest.Create:
		if s.Status != apikey.StatusDisabled {
			return nil
		}
		_, err := a.disable(ctx, s)
		return err
	case manifest.Update:
		return a.update(ctx, s)
	case manifest.Revoke:
		return a.revoke(ctx, s)
	}
	return nil
}

// create makes a key, or has it answered again, and hands over its secret.
func (a *apply) create(ctx context.Context, s *step, tokenURL string) error {
	out, err := a.make(ctx, s)
	if err != nil {
		return err
	}
	if s.resume && out.Key.ID != s.id {
		return withHint(fmt.Errorf("its secret cannot be had again; another key, %s, was made of the same document", out.Key.ID),
			"tokenos keys revoke "+out.Key.ID+"; tokenos keys rotate "+s.id)
	}
	s.id = out.Key.ID
	if out.Secret.IsZero() {
		return nil
	}
	s.where, err = a.to.deliver(ctx, s, credential{out.Key, out.Secret, tokenURL})
	return err
}

// mostStale bounds the keys of one document within a day that are answered again
// although they are not its keys any more.
const mostStale = 4

// make asks for the key. The answer may be that of an earlier apply of the same
// document, about a key that was deleted, renamed or ended since: then there is
// none, and another is asked for.
func (a *apply) make(ctx context.Context, s *step) (apikey.Issued, error) {
	for n := 0; ; n++ {
		out, err := a.makeOnce(ctx, s)
		if s.resume || n == mostStale {
			return out, err
		}
		stale := "gone"
		if !errors.Is(err, apikey.ErrReplayExpired) {
			if err != nil || a.isStill(ctx, s, out.Key.ID) {
				return out, err
			}
			stale = out.Key.ID
		}
		if s.makesSecret() {
			a.to.abandon(s)
		}
		s.params.IdempotencyKey += "-" + stale
	}
}

func (a *apply) makeOnce(ctx context.Context, s *step) (apikey.Issued, error) {
	if s.makesSecret() {
		if err := a.to.begin(s); err != nil {
			return apikey.Issued{}, err
		}
	}
	out, err := a.api.Create(ctx, s.params)
	if err != nil && s.makesSecret() && settled(err) && !s.resume {
		a.to.abandon(s)
	}
	if err == nil && !safeCredential(out.Key.ID, out.Secret) {
		return apikey.Issued{}, errNoCredential
	}
	return out, err
}

// isStill reports whether a key that was answered is the document's, as far as is
// known.
func (a *apply) isStill(ctx context.Context, s *step, id string) bool {
	k, err := a.api.Get(ctx, id)
	return err != nil || manifest.About(*s.Document, k)
}

// update makes the calls that a key needs: a pause first and its end last, so
// that what goes wrong in between leaves the key with less and not with more.
func (a *apply) update(ctx context.Context, s *step) error {
	revision := s.Key.Revision
	if s.Patch == nil || s.Status == apikey.StatusDisabled { // the other calls have no If-Match
		if err := a.unchanged(ctx, s); err != nil {
			return err
		}
	}
	if s.Status == apikey.StatusDisabled {
		k, err := a.disable(ctx, s)
		if err != nil {
			return err
		}
		revision = k.Revision
	}
	if s.Patch != nil {
		s.Patch.IfMatch = revision
		if _, err := a.api.Update(ctx, s.id, *s.Patch); err != nil {
			return err
		}
	}
	if err := a.publicKeys(ctx, s); err != nil {
		return err
	}
	if s.Status == apikey.StatusActive {
		_, err := a.api.Enable(ctx, s.id, apikey.ActionParams{})
		return err
	}
	return nil
}

// unchanged fails if somebody changed the key since the plan was made.
func (a *apply) unchanged(ctx context.Context, s *step) error {
	k, err := a.api.Get(ctx, s.id)
	if err == nil && k.Revision != s.Key.Revision {
		err = &apikey.Error{Kind: apikey.ErrPrecondition, Detail: "the key has changed since the plan was made"}
	}
	return err
}

func (a *apply) disable(ctx context.Context, s *step) (apikey.Key, error) {
	out, err := a.api.Disable(ctx, s.id, apikey.DisableParams{})
	s.pending = s.pending || out.Pending
	return out.Key, err
}

// publicKeys adds before it removes, so that the key is never without one, but
// makes room where it has as many as there may be.
func (a *apply) publicKeys(ctx context.Context, s *step) error {
	add, remove := s.AddPublicKeys, s.RemovePublicKeys
	room := apikey.DefaultLimits().PublicKeys - len(s.Key.LivePublicKeys(time.Now()))
	for len(add)+len(remove) > 0 {
		if len(add) > 0 && (room > 0 || len(remove) == 0) {
			if _, err := a.api.AddPublicKey(ctx, s.id, apikey.PublicKeyParams{PublicKeyInput: add[0]}); err != nil {
				return err
			}
			add, room = add[1:], room-1
			continue
		}
		if err := a.api.RemovePublicKey(ctx, s.id, remove[0]); err != nil {
			return err
		}
		remove, room = remove[1:], room+1
	}
	return nil
}

func (a *apply) revoke(ctx context.Context, s *step) error {
	if err := a.unchanged(ctx, s); err != nil {
		return err
	}
	out, err := a.api.Revoke(ctx, s.id, apikey.RevokeParams{Reason: apikey.CessationOfOperation, Description: "no document of tokenos apply is about it any more"})
	s.pending = s.pending || out.Pending
	return err
}

// tell says on stderr how a step came out.
func (a *apply) tell(s *step) {
	if s.err != nil {
		text := fmt.Sprintf("error: %s%s: %s", s.place(), s.title(), documentWords(s.err))
		if hint := hintOf(s.err); hint != "" {
			text += "\nhint: " + hint
		}
		fmt.Fprintln(a.stderr, plain(text))
		return
	}
	words := map[manifest.Action]string{manifest.Create: "made", manifest.Update: "changed", manifest.Revoke: "revoked", manifest.Unchanged: "made before"}
	text := fmt.Sprintf("%s %s: %s", words[s.Action], s.id, cell(s.title()))
	if s.where != "" {
		text += "; its secret went to " + s.where
	}
	if s.pending {
		text += "; accepted, Hydra follows"
	}
	fmt.Fprintln(a.stderr, plain(text))
}

// hintOf is the next step after a failure of one key. What is already settled
// needs none: the next apply makes a new plan.
func hintOf(err error) string {
	if h, ok := errors.AsType[hinted](err); ok {
		return h.hint
	}
	switch {
	case errors.Is(err, apikey.ErrPrecondition):
		return "somebody changed it meanwhile: apply again, and look at the new plan"
	case !settled(err):
		return "apply again: nothing is done twice"
	}
	return ""
}
