package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/tokenos/tokenos/apikey"
)

// recordRow is what a read of a key needs.
type recordRow struct {
	Op            string
	Open          bool
	Drifted       bool
	SweepAt       int64
	ConfirmAt     int64
	TokensEndBy   int64
	TokensEndedAt int64
	DueAt         int64
	ToldUntil     int64
	Unclaimed     string
	StatusIndex   int64
	Definition    string
	// Of the key that this one replaces; nil without one.
	PrevEndsAt, PrevExpiresAt, PrevRevokedAt *int64
	// What no change writes; 0 is never.
	LastUsedAt, LastDeniedAt int64
	LastDenial               string
}

// recordColumns are those of recordRow.
const recordColumns = `k.op, k.open, k.drifted, k.sweep_at, k.confirm_at, k.tokens_end_by, k.tokens_ended_at, k.due_at, k.told_until, k.unclaimed, k.status_index, k.definition,
	p.ends_at AS prev_ends_at, p.expires_at AS prev_expires_at, p.revoked_at AS prev_revoked_at,
	k.last_used_at, k.last_denied_at, k.last_denial`

// joinPredecessor goes with recordColumns.
const joinPredecessor = " LEFT JOIN keys p ON p.id = k.replaces"

func (r recordRow) record() (apikey.Record, error) {
	out := apikey.Record{Upkeep: apikey.Upkeep{Op: r.Op, Open: r.Open, Drifted: r.Drifted, SweepAt: moment(r.SweepAt),
		ConfirmAt: moment(r.ConfirmAt), TokensEndBy: moment(r.TokensEndBy), TokensEndedAt: moment(r.TokensEndedAt), DueAt: moment(r.DueAt), ToldUntil: moment(r.ToldUntil), Unclaimed: r.Unclaimed,
		StatusIndex: r.StatusIndex}}
	if r.PrevRevokedAt != nil {
		out.Predecessor = &apikey.Predecessor{EndsAt: moment(min(*r.PrevEndsAt, *r.PrevExpiresAt)), Revoked: *r.PrevRevokedAt < never}
	}
	if r.LastUsedAt != 0 {
		out.LastUsedAt = moment(r.LastUsedAt)
	}
	if r.LastDenial != "" {
		out.LastDenial = &apikey.LastDenial{Reason: apikey.Denial(r.LastDenial), At: moment(r.LastDeniedAt)}
	}
	if err := json.Unmarshal([]byte(r.Definition), &out.Definition); err != nil {
		return out, undecodable("keys", r.Op, err)
	}
	return out, nil
}

// keyRow is a key as it is written: its definition, and the columns drawn from
// it that lists select and order by.
type keyRow struct {
	bun.BaseModel `bun:"table:keys,alias:k"`

	ID            string `bun:",pk"`
	RootID        string
	Kind          string
	Owner         string
	Environment   string
	AuthMethod    string
	Revision      int64
	NameKey       string
	CreatedAt     int64
	UpdatedAt     int64
	ExpiresAt     int64
	EndsAt        int64
	DisabledAt    int64
	DisabledUntil int64
	RevokedAt     int64
	Terms         string
	Op            string
	Open          bool
	Drifted       bool
	SweepAt       int64
	ConfirmAt     int64
	TokensEndBy   int64
	TokensEndedAt int64
	DueAt         int64
	ToldUntil     int64
	Unclaimed     string
	Replaces      string
	StatusIndex   int64
	Definition    string
	// Written by an import alone: a change holds what it read earlier.
	LastUsedAt   int64
	LastDeniedAt int64
	LastDenial   string
}

// upsertKey writes a whole row; values gives its columns in this order. The place
// in the status lists stays what it was made with.
var upsertKey = func() string {
	columns := strings.Fields(`id root_id kind owner environment auth_method revision name_key created_at updated_at expires_at ends_at
		disabled_at disabled_until revoked_at terms op open drifted sweep_at confirm_at tokens_end_by tokens_ended_at due_at told_until unclaimed replaces status_index definition`)
	var marks, sets []string
	for i, c := range columns {
		marks = append(marks, mark(i+1))
		if c != "id" && c != "status_index" {
			sets = append(sets, c+" = excluded."+c)
		}
	}
	return "INSERT INTO keys (" + strings.Join(columns, ", ") + ") VALUES (" + strings.Join(marks, ", ") +
		") ON CONFLICT (id) DO UPDATE SET " + strings.Join(sets, ", ")
}()

func (r keyRow) values() []any {
	return []any{r.ID, r.RootID, r.Kind, r.Owner, r.Environment, r.AuthMethod, r.Revision, r.NameKey, r.CreatedAt, r.UpdatedAt, r.ExpiresAt, r.EndsAt,
		r.DisabledAt, r.DisabledUntil, r.RevokedAt, r.Terms, r.Op, r.Open, r.Drifted, r.SweepAt, r.ConfirmAt, r.TokensEndBy, r.TokensEndedAt, r.DueAt, r.ToldUntil, r.Unclaimed, r.Replaces, r.StatusIndex, r.Definition}
}

func newKeyRow(d apikey.Definition, up apikey.Upkeep, terms []termRow) (keyRow, error) {
	definition, err := json.Marshal(d)
	if err != nil {
		return keyRow{}, &apikey.Error{Kind: apikey.ErrInternal, Cause: err}
	}
	return keyRow{ID: d.ID, RootID: d.RootID, Kind: string(d.Kind), Owner: d.Owner, Environment: string(d.Environment), AuthMethod: string(d.AuthMethod),
		Revision: d.Revision, NameKey: apikey.SortKey(d.Name), CreatedAt: unix(d.CreatedAt), UpdatedAt: unix(d.UpdatedAt),
		ExpiresAt: unixPointer(d.ExpiresAt), EndsAt: unixPointer(d.EndsAt), DisabledAt: unixPointer(d.DisabledAt),
		DisabledUntil: unixPointer(d.DisabledUntil), RevokedAt: unixPointer(d.RevokedAt), Terms: digest(terms),
		Op: up.Op, Open: up.Open, Drifted: up.Drifted, SweepAt: unix(up.SweepAt), ConfirmAt: unix(up.ConfirmAt),
		TokensEndBy: unix(up.TokensEndBy), TokensEndedAt: unix(up.TokensEndedAt), DueAt: unix(up.DueAt), ToldUntil: unix(up.ToldUntil), Unclaimed: up.Unclaimed,
		Replaces: textOf(d.Replaces), StatusIndex: up.StatusIndex, Definition: string(definition)}, nil
}

// textOf is what p points to, "" for nil.
func textOf(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

// termRow is one thing a key is found by.
type termRow struct {
	bun.BaseModel `bun:"table:key_terms"`

	Kind  string `bun:",pk"`
	Term  string `bun:",pk"`
	KeyID string `bun:",pk"`
}

const (
	wordTerm  = "w"
	scopeTerm = "s"
	labelTerm = "l"
)

// labelText is a label as a term. Names hold no "=", so it is unambiguous.
func labelText(name, value string) string { return name + "=" + value }

// termsOf are the terms of a key, sorted, each once.
func termsOf(d apikey.Definition) []termRow {
	var out []termRow
	for name, value := range d.Labels {
		out = append(out, termRow{Kind: labelTerm, Term: labelText(name, value), KeyID: d.ID})
	}
	for _, s := range d.Scopes {
		out = append(out, termRow{Kind: scopeTerm, Term: s, KeyID: d.ID})
	}
	for _, w := range apikey.SearchTerms(d) {
		out = append(out, termRow{Kind: wordTerm, Term: w, KeyID: d.ID})
	}
	slices.SortFunc(out, func(a, b termRow) int { return strings.Compare(a.Kind+a.Term, b.Kind+b.Term) })
	return slices.Compact(out)
}

// digest tells whether two sets of terms differ.
func digest(terms []termRow) string {
	h := sha256.New()
	for _, t := range terms {
		h.Write([]byte(t.Kind + t.Term + "\x00"))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// changeRow is a change as it is stored.
type changeRow struct {
	Op         string
	KeyID      string
	Action     string
	State      string
	Wanted     string
	Target     string
	Successor  string
	At         int64
	Actor      string
	Attempt    int64
	ReplayHash []byte
}

const changeColumns = "op, key_id, action, state, wanted, target, successor, at, actor, attempt, replay_hash"

func (r changeRow) change() (apikey.Change, error) {
	c := apikey.Change{Op: r.Op, KeyID: r.KeyID, Action: apikey.Action(r.Action), State: apikey.ChangeState(r.State), At: moment(r.At), Attempt: int(r.Attempt)}
	for _, column := range []struct {
		text string
		into any
	}{{r.Wanted, &c.Order}, {r.Actor, &c.Actor}, {r.Target, &c.Target}, {r.Successor, &c.Successor}} {
		if column.text == "" { // a queued change has no target yet, most have no successor
			continue
		}
		if err := json.Unmarshal([]byte(column.text), column.into); err != nil {
			return c, undecodable("changes", r.Op, err)
		}
	}
	if r.ReplayHash != nil {
		c.Replay = &apikey.Replay{Hash: r.ReplayHash, Op: c.Op, KeyID: c.KeyID, Action: c.Action, State: c.State, At: c.At}
	}
	return c, nil
}

func changes(rows []changeRow) ([]apikey.Change, error) {
	out := make([]apikey.Change, 0, len(rows))
	for _, r := range rows {
		c, err := r.change()
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// jsonText is v as JSON.
func jsonText(v any) (string, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return "", &apikey.Error{Kind: apikey.ErrInternal, Cause: err}
	}
	return string(raw), nil
}

// millis is a lease as the clock of the database counts it.
func millis(d time.Duration) int64 { return d.Milliseconds() }
