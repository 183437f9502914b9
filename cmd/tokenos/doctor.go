package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenos/tokenos/config"
)

// checkTime bounds one check; the longest waits for Hydra, which waits for its
// hook.
const checkTime = 15 * time.Second

// verdict is how a check came out.
type verdict string

const (
	passed  verdict = "pass"
	warned  verdict = "warn" // works, but somebody should look
	failed  verdict = "fail"
	skipped verdict = "skip" // not asked, because it could not be answered
)

// finding is what a check saw.
type finding struct {
	Check   string  `json:"name"`
	Verdict verdict `json:"result"`
	Seen    string  `json:"seen"`
	Why     string  `json:"why"`           // it matters
	Fix     string  `json:"fix,omitempty"` // the command or the setting
	code    int     // to exit with if it failed
}

func good(seen string) finding        { return finding{Verdict: passed, Seen: seen} }
func unwise(seen, fix string) finding { return finding{Verdict: warned, Seen: seen, Fix: fix} }
func bad(seen, fix string) finding {
	return finding{Verdict: failed, Seen: seen, Fix: fix, code: exitFailed}
}
func away(err error, fix string) finding {
	return finding{Verdict: failed, Seen: err.Error(), Fix: fix, code: exitUnavailable}
}

// check is one question about an installation. Further ones join checks in
// checks.go.
type check struct {
	name  string
	why   string   // what depends on it
	needs []string // checks before it that must not have failed
	run   func(context.Context, *patient) finding
}

func (p program) doctor() *cobra.Command {
	var format string
	var skips []string
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Find out what is wrong with an installation, and say what to do",
		Long: "Find out what is wrong with an installation, and say what to do.\n\n" +
			"Reads the same configuration as `tokenos serve` and may run beside it, on SQLite\n" +
			"too. It looks at the ledger without writing to it, and asks Hydra what it can do.\n" +
			"For the token hook it buys a token for a client that is always disabled, as the\n" +
			"server does every minute: Hydra then asks its hook, and only a running server of\n" +
			"this installation answers well. If Hydra has lost that client, it is made again.\n\n" +
			"Checks, and what depends on them:\n" + checkTable() + "\n" +
			"Each passes, warns, fails, or is skipped because one that it needs has failed.\n" +
			"Exit code 0 if none failed; 2 if the configuration did; 6 if only Hydra or the\n" +
			"ledger does not answer, and trying again may help; else 1.",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := oneOf("output", format, "table", "json"); err != nil {
				return err
			}
			for _, name := range skips {
				if err := oneOf("skip", name, checkNames()...); err != nil {
					return err
				}
			}
			return p.examine(c.Context(), &patient{read: func() (*config.Config, error) { return p.read(c) }}, skips, format)
		},
	}
	configured(c)
	c.Flags().StringVarP(&format, "output", "o", "table", "table or json")
	c.Flags().StringSliceVar(&skips, "skip", nil, "leave these checks out, for what is so on purpose")
	return c
}

// checkTable lists the checks for people.
func checkTable() string {
	var b strings.Builder
	for _, c := range checks {
		fmt.Fprintf(&b, "  %-22s%s\n", c.name, c.why)
	}
	return b.String()
}

// examine runs every check and writes what was found to stdout. The error is how
// the program is to end.
func (p program) examine(ctx context.Context, who *patient, skips []string, format string) error {
	defer who.close()
	var under atomic.Pointer[string]
	stop := p.busy(func(since time.Duration) string {
		return fmt.Sprintf("checking %s: %s since the start", *under.Load(), since)
	})
	defer stop()
	var all []finding
	for _, c := range checks {
		under.Store(&c.name)
		f := skipping(c, skips, all)
		if f.Verdict != skipped {
			within, cancel := context.WithTimeout(ctx, checkTime)
			f = c.run(within, who)
			cancel()
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		f.Check, f.Why = c.name, c.why
		all = append(all, f)
	}
	stop()
	write := p.writeTable
	if format == "json" {
		write = p.writeJSON
	}
	if err := write(all); err != nil {
		return err
	}
	return ending(all)
}

// skipping is a finding that skips the check, if it is to be.
func skipping(c check, skips []string, before []finding) finding {
	if slices.Contains(skips, c.name) {
		return finding{Verdict: skipped, Seen: "left out by --skip"}
	}
	for _, f := range before {
		if slices.Contains(c.needs, f.Check) && (f.Verdict == failed || f.Verdict == skipped) {
			return finding{Verdict: skipped, Seen: "cannot be known without " + f.Check}
		}
	}
	return finding{}
}

// unwell is the end of a doctor that found something.
type unwell struct {
	failed []string
	of     int
	code   int
}

func (u unwell) Error() string {
	return fmt.Sprintf("%d of %d checks failed: %s", len(u.failed), u.of, strings.Join(u.failed, ", "))
}

// ending is nil if no check failed. Of several failures the one that trying again
// does not help decides the exit code.
func ending(all []finding) error {
	out := unwell{of: len(all), code: exitUnavailable}
	for _, f := range all {
		if f.Verdict != failed {
			continue
		}
		out.failed = append(out.failed, f.Check)
		if f.code != exitUnavailable && out.code != exitUsage {
			out.code = f.code
		}
	}
	if len(out.failed) == 0 {
		return nil
	}
	return out
}

// worst is the verdict on the whole.
func worst(all []finding) verdict {
	for _, v := range []verdict{failed, warned} {
		if slices.ContainsFunc(all, func(f finding) bool { return f.Verdict == v }) {
			return v
		}
	}
	return passed
}

// writeTable is for people: what did not pass comes with the reason and the way
// out.
func (p program) writeTable(all []finding) error {
	width := 0
	for _, f := range all {
		width = max(width, len(f.Check))
	}
	indent := strings.Repeat(" ", len("fail")+width+4)
	var b strings.Builder
	for _, f := range all {
		fmt.Fprintf(&b, "%s  %-*s  %s\n", f.Verdict, width, f.Check, strings.ReplaceAll(f.Seen, "\n", "\n"+indent))
		if f.Verdict == warned || f.Verdict == failed {
			fmt.Fprintf(&b, "%swhy: %s\n%sfix: %s\n", indent, f.Why, indent, f.Fix)
		}
	}
	_, err := fmt.Fprint(p.stdout, b.String())
	return err
}

func (p program) writeJSON(all []finding) error {
	out := json.NewEncoder(p.stdout)
	out.SetEscapeHTML(false)
	return out.Encode(map[string]any{"result": worst(all), "version": version(), "checks": all})
}
