package manifest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// Action is what to do about a key.
type Action string

const (
	Create    Action = "create"
	Update    Action = "change"
	Revoke    Action = "revoke"
	Unchanged Action = "unchanged"
	Refused   Action = "refused" // nothing: the document asks for what apply does not do
)

// Change is what to do about one key.
type Change struct {
	Action   Action
	Document *Document   // nil for Revoke
	Key      *apikey.Key // as it is; nil for Create, and for what is refused before a key is found
	Members  []Member    // that differ, in the order of a document; for Create all that it gives
	Note     string      // what a person should know beside it
	Problem  string      // why it is refused
	Fix      string

	// Params ask for the key of a document without id, also when there is one. Their
	// IdempotencyKey is the same for the same text, file and keys of that name before
	// it, so that an interrupted apply can be repeated.
	Params *apikey.CreateParams

	// The calls of Update, the first that is needed to the last.
	Patch            *apikey.UpdateParams // nil: none; its IfMatch is Key's revision
	AddPublicKeys    []apikey.PublicKeyInput
	RemovePublicKeys []string      // by kid
	Status           apikey.Status // "": as it is
}

// Member is a member that differs. Values are strings, lists of strings, or nil
// for none.
type Member struct {
	Name string `json:"member"`
	Old  any    `json:"old"`
	New  any    `json:"new"`
}

// Options say how to plan.
type Options struct {
	// Prune revokes the keys that apply made (label managed-by=tokenos-apply), that
	// no document is about, and that have an owner and environment which occur in the
	// documents.
	Prune bool
	Now   time.Time
}

// Plan compares documents with the keys there are: in the order of the documents,
// then what is pruned. Keys are all of the owners that occur in the documents, also
// those that were revoked, and those that documents name by id.
func Plan(docs []Document, keys []apikey.Key, o Options) []Change {
	p := index(keys)
	p.now = o.Now
	changes := make([]Change, 0, len(docs))
	for i := range docs {
		changes = append(changes, p.change(&docs[i]))
	}
	p.refuseTwice(changes)
	if o.Prune {
		changes = append(changes, p.prune(docs)...)
	}
	return changes
}

// planner finds keys.
type planner struct {
	now     time.Time
	byID    map[string]*apikey.Key
	byName  map[name][]*apikey.Key // all, oldest first
	byRoot  map[string][]*apikey.Key
	keys    []*apikey.Key
	claimed map[string]bool // root ids that a document is about, or may be
}

func index(keys []apikey.Key) *planner {
	p := &planner{byID: map[string]*apikey.Key{}, byName: map[name][]*apikey.Key{}, byRoot: map[string][]*apikey.Key{}, claimed: map[string]bool{}}
	for i := range keys {
		k := &keys[i]
		if p.byID[k.ID] != nil {
			continue
		}
		p.byID[k.ID] = k
		p.keys = append(p.keys, k)
	}
	slices.SortFunc(p.keys, func(a, b *apikey.Key) int { return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID)) })
	for _, k := range p.keys {
		n := name{k.Owner, k.Environment, k.Name}
		p.byName[n] = append(p.byName[n], k)
		p.byRoot[k.RootID] = append(p.byRoot[k.RootID], k)
	}
	return p
}

// current reports whether the key is one that documents are about: it has not
// been revoked and has no successor.
func current(k *apikey.Key) bool {
	return !revoked(k) && k.ReplacedBy == nil && k.Kind != apikey.KindManagement
}

// About reports whether a document without id is about the key.
func About(d Document, k apikey.Key) bool {
	return current(&k) && nameOf(d) == name{k.Owner, k.Environment, k.Name}
}

func revoked(k *apikey.Key) bool {
	return k.Status == apikey.StatusRevoked || slices.Contains(k.Flags, apikey.FlagRevoking)
}

func currents(keys []*apikey.Key) []*apikey.Key {
	return slices.DeleteFunc(slices.Clone(keys), func(k *apikey.Key) bool { return !current(k) })
}

// change is what to do about a document.
func (p *planner) change(d *Document) Change {
	k, problem, fix := p.find(d)
	c := Change{Document: d, Key: k}
	if problem != "" {
		return c.refuse(problem, fix)
	}
	if d.ID == "" {
		c.Params = p.params(d, k)
	}
	if k == nil {
		return c.creation(p.now)
	}
	p.claimed[k.RootID] = true
	return c.compare(p.now)
}

func (c Change) refuse(problem, fix string) Change {
	return Change{Action: Refused, Document: c.Document, Key: c.Key, Problem: problem, Fix: fix}
}

// find is the key that a document is about; nil: there is none yet.
func (p *planner) find(d *Document) (k *apikey.Key, problem, fix string) {
	if d.ID != "" {
		return p.named(d.ID)
	}
	found := currents(p.byName[nameOf(*d)])
	switch len(found) {
	case 0:
		return nil, "", ""
	case 1:
		return found[0], "", ""
	}
	ids := []string{}
	for _, k := range found {
		p.claimed[k.RootID] = true
		ids = append(ids, k.ID)
	}
	if more := len(ids) - 10; more > 0 {
		ids = append(ids[:10], fmt.Sprintf("and %d more", more))
	}
	return nil, "may be about several keys of this owner, environment and name: " + strings.Join(ids, ", "), "say which by id"
}

// named is the key of an id, or the one that has come after it by rotation.
func (p *planner) named(id string) (k *apikey.Key, problem, fix string) {
	k = p.byID[id]
	if k == nil {
		return nil, "there is no key with this id, or it is not yours", "leave the id out to have one made"
	}
	p.claimed[k.RootID] = true
	switch {
	case k.Kind == apikey.KindManagement:
		return k, "is about a management key, which is not kept as code", "leave the document out"
	case revoked(k):
		return k, "is about a key that has been revoked", "leave the document out, or its id to have another made"
	case k.ReplacedBy == nil:
		return k, "", ""
	}
	if found := currents(p.byRoot[k.RootID]); len(found) == 1 {
		return found[0], "", ""
	}
	return k, "is about a key that was replaced, and what replaced it has ended", "write the id of the key that is meant, or none to have one made"
}

// refuseTwice refuses all documents that turn out to be about one key.
func (p *planner) refuseTwice(changes []Change) {
	first := map[string]int{}
	for i, c := range changes {
		if c.Key == nil || c.Action == Refused {
			continue
		}
		j, same := first[c.Key.ID]
		if !same {
			first[c.Key.ID] = i
			continue
		}
		say := func(c Change, d *Document) Change {
			return c.refuse(fmt.Sprintf("is about the same key as %s:%d", d.File, d.Line), "leave one of them out, or tell them apart by id")
		}
		changes[i] = say(c, changes[j].Document)
		changes[j] = say(changes[j], c.Document)
	}
}

// prune revokes what apply made and no document is about.
func (p *planner) prune(docs []Document) (out []Change) {
	where := map[name]bool{}
	for _, d := range docs {
		where[name{owner: d.Owner, environment: d.Environment}] = true
	}
	for _, k := range p.keys {
		ended := k.EndsAt != nil && !p.now.Before(*k.EndsAt)
		if k.Labels[ManagedBy] == ManagedTag && where[name{owner: k.Owner, environment: k.Environment}] &&
			!p.claimed[k.RootID] && !revoked(k) && !ended && k.Kind != apikey.KindManagement {
			out = append(out, Change{Action: Revoke, Key: k})
		}
	}
	slices.SortStableFunc(out, func(a, b Change) int { return compareKeys(*a.Key, *b.Key) })
	return out
}

// compareKeys is the order in which keys are written.
func compareKeys(a, b apikey.Key) int {
	return cmp.Or(cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Environment, b.Environment), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
}
