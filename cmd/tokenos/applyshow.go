package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/manifest"
)

// applyCounts count keys by what there is to do about them, and how that came out.
type applyCounts struct {
	Create    int `json:"create"`
	Change    int `json:"change"`
	Revoke    int `json:"revoke"`
	HandOver  int `json:"hand_over"` // made by an earlier apply, with its secret still to be handed over
	Unchanged int `json:"unchanged"`
	Refused   int `json:"refused"`
	Done      int `json:"done"`
	Failed    int `json:"failed"`
	NotBegun  int `json:"not_begun"`
}

func (a *apply) counts() (n applyCounts) {
	for _, s := range a.steps {
		switch {
		case s.Action == manifest.Create:
			n.Create++
		case s.Action == manifest.Update:
			n.Change++
		case s.Action == manifest.Revoke:
			n.Revoke++
		case s.Action == manifest.Refused:
			n.Refused++
		case s.resume:
			n.HandOver++
		default:
			n.Unchanged++
		}
		switch s.state {
		case "done":
			n.Done++
		case "failed":
			n.Failed++
		case "not_begun":
			n.NotBegun++
		}
	}
	return n
}

// parts tells the counts that are not zero.
func parts(counted ...any) string {
	var out []string
	for i := 0; i+1 < len(counted); i += 2 {
		if n, _ := counted[i].(int); n > 0 {
			out = append(out, fmt.Sprint(n, " ", counted[i+1]))
		}
	}
	return strings.Join(out, ", ")
}

func (n applyCounts) plan() string {
	return or(parts(n.Create, "to create", n.Change, "to change", n.Revoke, "to revoke", n.HandOver, "to hand over", n.Unchanged, "unchanged", n.Refused, "refused"), "nothing")
}

func (n applyCounts) question() string {
	return "Apply? " + parts(n.Create, "to create", n.Change, "to change", n.Revoke, "to revoke", n.HandOver, "to hand over")
}

// place is where a step's document stands, with a space behind it.
func (s *step) place() string {
	if s.Document == nil {
		return ""
	}
	return fmt.Sprintf("%s:%d ", s.Document.File, s.Document.Line)
}

var marks = map[manifest.Action]string{manifest.Create: "+", manifest.Update: "~", manifest.Revoke: "-", manifest.Refused: "!", manifest.Unchanged: "="}

// writePlan shows what there is to do, for people.
func (a *apply) writePlan(to io.Writer) error {
	w := &strings.Builder{}
	for _, s := range a.steps {
		if !s.changes() && s.Action != manifest.Refused && s.Note == "" {
			continue
		}
		head := strings.TrimRight(fmt.Sprintf("%s %s  %s", marks[s.Action], s.title(), s.id), " ")
		if s.Document != nil {
			head += fmt.Sprintf("  (%s:%d)", s.Document.File, s.Document.Line)
		}
		fmt.Fprintln(w, cell(head))
		for _, line := range s.details() {
			fmt.Fprintln(w, "    "+cell(line))
		}
	}
	fmt.Fprintf(w, "plan: %s\n", a.counts().plan())
	_, err := io.WriteString(to, w.String())
	return err
}

func (s *step) details() (out []string) {
	for _, m := range s.Members {
		if s.Action == manifest.Create {
			out = append(out, m.Name+": "+shownValue(m.New))
		} else {
			out = append(out, m.Name+": "+shownValue(m.Old)+" -> "+shownValue(m.New))
		}
	}
	if s.Action == manifest.Revoke {
		out = append(out, "no document is about it; last used "+or(moment(s.Key.LastUsedAt), "never"))
	}
	if s.resume {
		out = append(out, "made by an apply that was interrupted: its secret is to be handed over")
	}
	if s.access != nil && s.access.Introspected != nil && s.access.Offline != nil {
		out = append(out, fmt.Sprintf("tokens that this ends work until %s, offline until %s", moment(s.access.Introspected), moment(s.access.Offline)))
	}
	if s.Note != "" {
		out = append(out, s.Note)
	}
	if s.Problem != "" {
		out = append(out, strings.TrimRight(s.Problem+"; "+s.Fix, "; "))
	}
	return out
}

func shownValue(v any) string {
	switch v := v.(type) {
	case nil:
		return "(none)"
	case []string:
		return "[" + strings.Join(v, ", ") + "]"
	}
	return fmt.Sprint(v)
}

// applied is a run of tokenos apply as -o json writes it.
type applied struct {
	DryRun  bool          `json:"dry_run"`
	Counts  applyCounts   `json:"counts"`
	Changes []appliedStep `json:"changes"`
}

type appliedStep struct {
	Action      manifest.Action    `json:"action"`
	ID          string             `json:"id,omitempty"`
	Owner       string             `json:"owner"`
	Environment apikey.Environment `json:"environment"`
	Name        string             `json:"name"`
	File        string             `json:"file,omitempty"`
	Line        int                `json:"line,omitempty"`
	Members     []manifest.Member  `json:"members,omitempty"`
	HandOver    bool               `json:"hand_over,omitempty"`
	Access      *apikey.AccessEnds `json:"access_ends_at,omitempty"`
	Note        string             `json:"note,omitempty"`
	Problem     string             `json:"problem,omitempty"`
	Fix         string             `json:"fix,omitempty"`
	State       string             `json:"state,omitempty"` // done, failed, not_begun
	Pending     bool               `json:"pending,omitempty"`
	Secret      string             `json:"secret_in,omitempty"`
	Error       *complaint         `json:"error,omitempty"`
}

func (s *step) applied() appliedStep {
	out := appliedStep{Action: s.Action, ID: s.id, Members: s.Members, HandOver: s.resume, Access: s.access, Note: s.Note,
		Problem: s.Problem, Fix: s.Fix, State: s.state, Pending: s.pending, Secret: s.where}
	if s.Key != nil {
		out.Owner, out.Environment, out.Name = s.Key.Owner, s.Key.Environment, s.Key.Name
	}
	if d := s.Document; d != nil {
		out.Owner, out.Environment, out.Name, out.File, out.Line = d.Owner, d.Environment, d.Name, d.File, d.Line
	}
	if s.err != nil {
		c := complaintOf(s.err)
		c.Detail, c.Hint = documentWords(s.err), hintOf(s.err)
		out.Error = &c
	}
	return out
}

func (a *apply) result() shown {
	out := applied{DryRun: a.dryRun, Counts: a.counts(), Changes: []appliedStep{}}
	var names []string
	for _, s := range a.steps {
		out.Changes = append(out.Changes, s.applied())
		if s.id != "" && s.changes() {
			names = append(names, s.id)
		}
	}
	return shown{value: out, names: names}
}

// show writes a plan that nothing comes after.
func (a *apply) show() error {
	if a.format != "table" {
		return a.print(a.stdout, a.result())
	}
	return a.writePlan(a.stdout)
}

// showFirst writes the plan before it is carried out: for a person to say yes to,
// and else only where the result does not tell the same.
func (a *apply) showFirst() error {
	switch {
	case a.format == "table":
		return a.writePlan(a.stdout)
	case !a.yes:
		return a.writePlan(a.stderr)
	}
	return nil
}

// showDone tells how it came out.
func (a *apply) showDone() error {
	n := a.counts()
	fmt.Fprintln(a.stderr, parts(n.Done, "done", n.Failed, "failed", n.Refused, "refused", n.NotBegun, "not begun", n.Unchanged, "unchanged"))
	if a.format == "table" {
		return nil
	}
	return a.print(a.stdout, a.result())
}

// documentWords are a failure in the words of a document: members, not flags.
func documentWords(err error) string {
	invalid, ok := errors.AsType[*apikey.InvalidError](err)
	if !ok {
		return words(err)
	}
	var lines []string
	for _, f := range invalid.Fields {
		member := strings.ReplaceAll(strings.TrimPrefix(f.Pointer, "#/"), "/", ".")
		lines = append(lines, strings.TrimRight(member+" "+f.Detail+"; "+f.Fix, "; "))
	}
	return strings.Join(lines, "; ")
}
