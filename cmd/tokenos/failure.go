package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/config"
)

// Exit codes.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2   // called wrongly, or configured wrongly
	exitUnavailable = 6   // Hydra or the ledger is away: trying again may help
	exitInterrupted = 130 // told to stop before the work was done
)

const exitCodes = "Exit codes: 0 done; 1 failed; 2 called or configured wrongly; 6 Hydra or the\n" +
	"ledger is away, trying again may help; 130 interrupted before it was done."

// usageError is a mistake in how the program was called; it exits with 2.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// hinted is an error with the next step for a person.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

// withHint adds the next step; nil stays nil, and a hint nearer to the cause wins.
func withHint(err error, hint string) error {
	if err == nil {
		return nil
	}
	if _, has := errors.AsType[hinted](err); has {
		return err
	}
	return hinted{err, hint}
}

// exitCode tells a person what went wrong and returns the code to exit with.
// ran is the command that failed.
func (p program) exitCode(ctx context.Context, ran *cobra.Command, err error) int {
	if err == nil {
		return exitOK
	}
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx))) {
		fmt.Fprintln(p.stderr, "error: interrupted before it was done")
		return exitInterrupted
	}
	code := exitFailed
	_, usage := errors.AsType[usageError](err)
	_, settings := errors.AsType[*config.Error](err)
	ill, found := errors.AsType[unwell](err)
	switch {
	case usage:
		code, err = exitUsage, withHint(err, "see "+ran.CommandPath()+" --help")
	case settings:
		code, err = exitUsage, withHint(err, "every key: "+ran.CommandPath()+" --help; for editors: "+ran.Root().Name()+" config schema")
	case errors.Is(err, apikey.ErrUnavailable):
		code = exitUnavailable
	case found:
		code = ill.code
	}
	fmt.Fprintf(p.stderr, "error: %s\n", err)
	if h, ok := errors.AsType[hinted](err); ok {
		fmt.Fprintf(p.stderr, "hint: %s\n", h.hint)
	}
	return code
}

// noStrayArgs refuses arguments, which no command takes, with the name that was
// probably meant. It does not repeat them: one may be a secret in the wrong place.
func noStrayArgs(c *cobra.Command) {
	c.SuggestionsMinimumDistance = 2
	c.Args = func(c *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return nil
		case !c.HasSubCommands():
			return usagef("%s takes no arguments, only flags", c.CommandPath())
		}
		err := fmt.Errorf("%s has no such command", c.CommandPath())
		if near := c.SuggestionsFor(args[0]); len(near) > 0 {
			err = withHint(err, fmt.Sprintf("did you mean %q? see %s --help", near[0], c.CommandPath()))
		}
		return usageError{err}
	}
	for _, sub := range c.Commands() {
		noStrayArgs(sub)
	}
}
