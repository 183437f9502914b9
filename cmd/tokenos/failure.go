package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/client/tokensource"
	"github.com/tokenos/tokenos/config"
)

// Exit codes.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2   // called wrongly, or configured wrongly
	exitNotFound    = 3   // there is no such key, or it is another owner's
	exitNotAllowed  = 4   // not signed in, or without the right
	exitConflict    = 5   // something else was changed meanwhile, or stands in the way
	exitUnavailable = 6   // the server, Hydra or the ledger is away: trying again may help
	exitInterrupted = 130 // told to stop before the work was done, or declined
)

const exitCodes = "Exit codes: 0 done; 1 failed; 2 called or configured wrongly; 3 not found; 4 not\n" +
	"signed in or not allowed; 5 conflict; 6 the server, Hydra or the ledger is away,\n" +
	"trying again may help; 130 interrupted or declined."

// usageError is a mistake in how the program was called; it exits with 2.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// hinted is an error with the next step for a person.
type hinted struct {
	error
	hint  string
	lasts bool // it holds for an interruption, too
}

func (h hinted) Unwrap() error { return h.error }

// silent is an exit code for scripts to read. What there was to say has been said.
type silent struct{ code int }

func (s silent) Error() string { return fmt.Sprintf("exit code %d", s.code) }

// withHint adds the next step; nil stays nil, and a hint nearer to the cause wins.
func withHint(err error, hint string) error {
	if err == nil {
		return nil
	}
	if _, has := errors.AsType[hinted](err); has {
		return err
	}
	return hinted{error: err, hint: hint}
}

// withLastingHint adds what to do also if the failure is that somebody did not wait;
// it stands before every other hint.
func withLastingHint(err error, hint string) error { return hinted{err, hint, true} }

// coded is an error with an exit code that the command's own help tells.
type coded struct {
	error
	code int
}

func (c coded) Unwrap() error { return c.error }

// interruption is what a Ctrl-C made of the work, with what is known of it.
type interruption struct{ error }

func (i interruption) Unwrap() error { return i.error }

// exitCode tells a person what went wrong and returns the code to exit with.
// ran is the command that failed.
func (p program) exitCode(ctx context.Context, ran *cobra.Command, err error) int {
	if err == nil {
		return exitOK
	}
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx))) {
		p.complain(ran, interruption{err})
		return exitInterrupted
	}
	if said, ok := errors.AsType[silent](err); ok {
		return said.code
	}
	if quiet(err) {
		return exitFailed
	}
	code := codeOf(err)
	_, usage := errors.AsType[usageError](err)
	_, settings := errors.AsType[*config.Error](err)
	switch {
	case usage:
		err = withHint(err, "see "+ran.CommandPath()+" --help")
	case errors.Is(err, apikey.ErrNotFound) && slices.ContainsFunc(ran.Flags().Args(), mistyped):
		err = withHint(err, "the id is mistyped or not whole: its end does not fit the rest")
	case settings:
		err = withHint(err, "this command reads the configuration of "+ran.Root().Name()+" serve: --config FILE, ./tokenos.yaml or /etc/tokenos/tokenos.yaml, and TOKENOS_...\n"+
			"hint: every key: "+ran.Root().Name()+" serve --help; for editors: "+ran.Root().Name()+" config schema")
	}
	p.complain(ran, err)
	return code
}

// mistyped reports whether a text is meant to be an id of ours and is none: an id
// ends in a checksum. A key that was adopted may have any other id.
func mistyped(id string) bool {
	return (strings.HasPrefix(id, "key_live_") || strings.HasPrefix(id, "key_test_")) && !apikey.OwnID(id)
}

// quiet reports whether nobody needs to be told: who read the list has left, as
// head does. A secret that was lost so has a next step, and is told of.
func quiet(err error) bool {
	_, again := errors.AsType[repeatable](err)
	_, advised := errors.AsType[hinted](err)
	return errors.Is(err, syscall.EPIPE) && !again && !advised
}

// codes are the exit codes of what a server answers.
var codes = map[apikey.ErrorKind]int{
	apikey.ErrInvalid: exitUsage, apikey.ErrMalformed: exitUsage, apikey.ErrPreconditionRequired: exitUsage,
	apikey.ErrNotFound:        exitNotFound,
	apikey.ErrUnauthenticated: exitNotAllowed, apikey.ErrForbidden: exitNotAllowed, apikey.ErrHTTPSRequired: exitNotAllowed,
	apikey.ErrBusy: exitConflict, apikey.ErrExpired: exitConflict, apikey.ErrRevoked: exitConflict, apikey.ErrNotRevoked: exitConflict,
	apikey.ErrLastCredential: exitConflict, apikey.ErrPublicKeyInUse: exitConflict, apikey.ErrDrifted: exitConflict,
	apikey.ErrReplaced: exitConflict, apikey.ErrRotationPending: exitConflict, apikey.ErrIdempotencyRunning: exitConflict,
	apikey.ErrReplayExpired: exitConflict, apikey.ErrIdempotencyMismatch: exitConflict, apikey.ErrPrecondition: exitConflict,
	apikey.ErrUnavailable: exitUnavailable, apikey.ErrTimeout: exitUnavailable, apikey.ErrRateLimited: exitUnavailable,
}

// codeOf is the exit code of a failure.
func codeOf(err error) int {
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	if _, ok := errors.AsType[*config.Error](err); ok {
		return exitUsage
	}
	if ill, ok := errors.AsType[unwell](err); ok {
		return ill.code
	}
	if own, ok := errors.AsType[coded](err); ok {
		return own.code
	}
	if errors.Is(err, errDeclined) {
		return exitInterrupted
	}
	if e, ok := errors.AsType[*tokensource.Error](err); ok {
		return tokenCode(e)
	}
	if kind, ok := errors.AsType[apikey.ErrorKind](err); ok && codes[kind] != 0 {
		return codes[kind]
	}
	return exitFailed
}

var (
	flagsExclude  = regexp.MustCompile(`none of the others can be; \[(.+)\] were all set`)
	flagsTogether = regexp.MustCompile(`group \[(.+)\] are set they must all be set; missing \[(.+)\]`)
	flagsRequired = regexp.MustCompile(`^required flag\(s\) (.+) not set`)
)

// flagFault says what cobra says of flags that are missing, or stand beside others,
// in fewer words.
func flagFault(err error) error {
	text := err.Error()
	switch exclude, together, required := flagsExclude.FindStringSubmatch(text), flagsTogether.FindStringSubmatch(text),
		flagsRequired.FindStringSubmatch(text); {
	case exclude != nil:
		return usagef("%s exclude each other", flagList(exclude[1]))
	case together != nil:
		return usagef("%s go together: add %s", flagList(together[1]), flagList(together[2]))
	case required != nil:
		return usagef("required: %s", flagList(required[1]))
	}
	return usageError{err}
}

// flagList names flags as they are typed.
func flagList(names string) string {
	list := strings.Fields(strings.NewReplacer(`"`, "", ",", "").Replace(names))
	for i := range list {
		list[i] = "--" + list[i]
	}
	return strings.Join(list, " and ")
}

// nearest is the command that was probably meant, of those that are like name: one
// that begins with it, else the one with the longest beginning in common. "": none.
func nearest(name string, like []string) string {
	best, most := "", -1
	for _, command := range like {
		same := 0
		for same < min(len(name), len(command)) && name[same] == command[same] {
			same++
		}
		if same > most {
			best, most = command, same
		}
	}
	return best
}

// noStrayArgs refuses arguments of every command that does not say which it
// takes, with the name that was probably meant. It does not repeat them: one may
// be a secret in the wrong place. Flags that exclude each other are refused with it.
func noStrayArgs(c *cobra.Command) {
	c.SuggestionsMinimumDistance = 2
	for _, sub := range c.Commands() {
		noStrayArgs(sub)
	}
	if c.Args != nil {
		own := c.Args
		c.Args = func(c *cobra.Command, args []string) error {
			if err := c.ValidateFlagGroups(); err != nil { // here, because later it is no usageError
				return flagFault(err)
			}
			return own(c, args)
		}
		return
	}
	c.Args = func(c *cobra.Command, args []string) error {
		switch groups := c.ValidateFlagGroups(); {
		case groups != nil:
			return flagFault(groups)
		case len(args) == 0:
			return nil
		case !c.HasSubCommands():
			return usagef("%s takes no arguments, only flags", c.CommandPath())
		}
		err := fmt.Errorf("%s has no such command", c.CommandPath())
		if near := nearest(args[0], c.SuggestionsFor(args[0])); near != "" {
			err = withHint(err, fmt.Sprintf("did you mean %q? see %s --help", near, c.CommandPath()))
		}
		return usageError{err}
	}
}
