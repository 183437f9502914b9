package main

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/config"
)

// doctorOptions are the flags of tokenos doctor.
type doctorOptions struct {
	format           string
	skips            []string
	strict, fix, yes bool
	hydraDSNFile     string
}

func (p program) doctor() *cobra.Command {
	var o doctorOptions
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Find out what is wrong with an installation, and say what to do",
		Long: "Find out what is wrong with an installation, and say what to do.\n\n" +
			"Reads the same configuration as `tokenos serve` and may run beside it, on SQLite\n" +
			"too. It looks at the ledger without writing to it, and asks Hydra what it can do.\n" +
			"For the token hook it buys a token for a client that is always disabled, as the\n" +
			"server does every minute: Hydra then asks its hook, and only a running server of\n" +
			"this installation answers well. If Hydra has lost that client, it is made again.\n" +
			"Two checks make a disabled client in Hydra, and remove it after a moment.\n\n" +
			"Checks, and what depends on them:\n" + checkTable() + "\n" +
			"Each passes, warns, fails, or is skipped because it cannot be known.\n" +
			"Exit code 0 if none failed (with --strict: nor warned); 2 if the configuration\n" +
			"did; 6 if only Hydra or the ledger does not answer, and trying again may help;\n" +
			"else 1.\n\n" +
			"--fix shows what it would do, asks, and does it; --yes is the answer in scripts.\n" +
			"It makes an ES256 key for JWTs where Hydra has none, and nothing else.",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			return p.examine(c.Context(), func() *patient {
				return &patient{read: func() (*config.Config, error) { return p.read(c) }, env: p.env, hydraDSNFile: o.hydraDSNFile}
			}, o)
		},
	}
	c.Flags().StringVarP(&o.format, "output", "o", "table", "table or json")
	c.Flags().StringSliceVar(&o.skips, "skip", nil, "leave these checks out, for what is so on purpose")
	c.Flags().BoolVar(&o.strict, "strict", false, "exit with 1 also if a check warns")
	c.Flags().BoolVar(&o.fix, "fix", false, "mend what can be mended safely, after asking")
	c.Flags().BoolVar(&o.yes, "yes", false, "with --fix: do not ask")
	c.Flags().StringVar(&o.hydraDSNFile, "hydra-dsn-file", "", "file that holds Hydra's DSN (Postgres or SQLite), to look at its tables without writing")
	configured(c)
	return c
}

func (o doctorOptions) check() error {
	if err := oneOf("output", o.format, "table", "json"); err != nil {
		return err
	}
	for _, name := range o.skips {
		if err := oneOf("skip", name, checkNames()...); err != nil {
			return err
		}
	}
	if o.yes && !o.fix {
		return usagef("--yes goes with --fix")
	}
	return nil
}

// checkTable lists the checks for people.
func checkTable() string {
	var b strings.Builder
	for _, c := range checks {
		fmt.Fprintf(&b, "  %-22s%s\n", c.name, c.why)
	}
	return b.String()
}

// examine makes every check and writes what was found to stdout. The error is how
// the program is to end. What is to be mended is mended after the first report,
// and a second one tells how it stands then.
func (p program) examine(ctx context.Context, who func() *patient, o doctorOptions) error {
	all, repairs, err := p.look(ctx, who(), o)
	if err != nil {
		return err
	}
	if o.fix && len(repairs) > 0 {
		if o.format == "table" {
			if err := p.writeTable(all); err != nil {
				return err
			}
		}
		if err := p.mend(ctx, repairs, o.yes); err != nil {
			return err
		}
		if all, _, err = p.look(ctx, who(), o); err != nil {
			return err
		}
	}
	if o.format == "json" { // what GET /v1/doctor answers
		err = writeJSON(p.stdout, diagnosisOf(all, time.Now()))
	} else {
		err = p.writeTable(all)
	}
	if err != nil {
		return err
	}
	return ending(all, o.strict)
}

// look makes every check once; a person hears which is being made. What was found
// can be mended afterwards, by calls of its own.
func (p program) look(ctx context.Context, who *patient, o doctorOptions) (all []finding, repairs []repair, err error) {
	defer who.close()
	var under atomic.Pointer[string]
	stop := p.busy(func(since time.Duration) string {
		return fmt.Sprintf("checking %s: %s since the start", *under.Load(), since)
	})
	defer stop()
	all = who.examined(ctx, o.skips, func(name string) { under.Store(&name) })
	for _, f := range all {
		if f.repair != nil {
			repairs = append(repairs, *f.repair)
		}
	}
	return all, repairs, ctx.Err()
}

// mend tells what will be done, asks, and does it.
func (p program) mend(ctx context.Context, repairs []repair, yes bool) error {
	for _, r := range repairs {
		fmt.Fprintf(p.stderr, "to mend %s: %s\n", r.check, r.what)
	}
	if err := p.confirm(ctx, yes, "Do that?"); err != nil {
		return err
	}
	for _, r := range repairs {
		within, cancel := context.WithTimeout(ctx, checkTime)
		err := r.do(within)
		cancel()
		if err != nil {
			return fmt.Errorf("mend %s: %w", r.check, err)
		}
		fmt.Fprintf(p.stderr, "mended %s\n", r.check)
	}
	return nil
}

// unwell is the end of a doctor that found something.
type unwell struct {
	found []string
	of    int
	code  int
	what  string // they did
}

func (u unwell) Error() string {
	return fmt.Sprintf("%d of %d checks %s: %s", len(u.found), u.of, u.what, strings.Join(u.found, ", "))
}

// ending is nil if no check failed, and if it is to be strict none warned. Of
// several failures the one that trying again does not help decides the exit code.
func ending(all []finding, strict bool) error {
	out := unwell{of: len(all), code: exitUnavailable, what: "failed"}
	warnings := unwell{of: len(all), code: exitFailed, what: "warned"}
	for _, f := range all {
		switch {
		case f.Result == warned:
			warnings.found = append(warnings.found, f.Name)
		case f.Result != failed:
		default:
			out.found = append(out.found, f.Name)
			if f.code != exitUnavailable && out.code != exitUsage {
				out.code = f.code
			}
		}
	}
	switch {
	case len(out.found) > 0:
		return out
	case strict && len(warnings.found) > 0:
		return warnings
	}
	return nil
}

// writeTable is for people: what did not pass comes with the reason and the way
// out.
func (p program) writeTable(all []finding) error {
	width := 0
	for _, f := range all {
		width = max(width, len(f.Name))
	}
	indent := strings.Repeat(" ", len("fail")+width+4)
	var b strings.Builder
	for _, f := range all {
		fmt.Fprintf(&b, "%s  %-*s  %s\n", f.Result, width, f.Name, strings.ReplaceAll(f.Seen, "\n", "\n"+indent))
		if f.Result == warned || f.Result == failed {
			fmt.Fprintf(&b, "%swhy: %s\n%sfix: %s\n", indent, f.Why, indent, f.Fix)
		}
	}
	_, err := fmt.Fprint(p.stdout, plain(b.String()))
	return err
}

// diagnosisOf is the whole in the form of the API.
func diagnosisOf(all []finding, at time.Time) apikey.Diagnosis {
	d := apikey.Diagnosis{Version: version(), CheckedAt: at.UTC().Truncate(time.Second), Checks: []apikey.Check{}}
	for _, f := range all {
		d.Checks = append(d.Checks, f.Check)
	}
	d.Result = apikey.WorstOf(d.Checks)
	return d
}
