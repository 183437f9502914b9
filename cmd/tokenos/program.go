package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenos/tokenos/config"
)

// Exit codes.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnavailable = 6
	exitInterrupted = 130
)

// program is everything the commands may touch of the world outside.
type program struct {
	env    []string
	stdout io.Writer // data
	stderr io.Writer // words about it
}

// usageError is a mistake in how the program was called; it exits with 2.
type usageError struct{ error }

// hinted is an error with the next step for a person.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

func withHint(err error, hint string) error {
	if err == nil {
		return nil
	}
	return hinted{err, hint}
}

// run is the program: it returns the exit code.
func (p program) run(ctx context.Context, args []string) int {
	root := p.root()
	root.SetArgs(args)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(p.stderr, "error: %s\n", err)
	if h, ok := errors.AsType[hinted](err); ok {
		fmt.Fprintf(p.stderr, "hint: %s\n", h.hint)
	}
	var settings *config.Error
	if _, usage := errors.AsType[usageError](err); usage || errors.As(err, &settings) {
		return exitUsage
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return exitInterrupted
	}
	return exitFailed
}

func (p program) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "tokenos",
		Short:         "API keys on Ory Hydra",
		Long:          "tokenos manages API keys that are OAuth 2.0 clients in Ory Hydra.\nStart with `tokenos dev`: a real Hydra and this program, from one command.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{withHint(config.FlagError(c.Flags(), err), "see "+c.CommandPath()+" --help")}
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(p.dev(), p.serve(), p.migrate(), p.bootstrap(), p.audit(), p.config(), p.version())
	for _, c := range root.Commands() {
		noStrayArgs(c)
	}
	return root
}

// noStrayArgs turns cobra's plain errors about arguments into usage errors.
func noStrayArgs(c *cobra.Command) {
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return usageError{withHint(fmt.Errorf("%s: unexpected argument", c.CommandPath()), "see "+c.CommandPath()+" --help")}
	}
	for _, sub := range c.Commands() {
		noStrayArgs(sub)
	}
}

func (p program) version() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(p.stdout, version())
			return err
		},
	}
}

// stamped is the version that a release build sets (-ldflags "-X main.stamped=v1.2.3").
var stamped string

// version is this build's version: stamped, else the module's, else "devel".
func version() string {
	if stamped != "" {
		return stamped
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return strings.Trim(info.Main.Version, "()")
	}
	return "devel"
}

// logger writes to stderr in the form asked for.
func (p program) logger(level, format string) *slog.Logger {
	var l slog.Level
	if l.UnmarshalText([]byte(level)) != nil {
		l = slog.LevelInfo
	}
	o := &slog.HandlerOptions{Level: l}
	if format == "text" {
		return slog.New(slog.NewTextHandler(p.stderr, o))
	}
	return slog.New(slog.NewJSONHandler(p.stderr, o))
}

// load reads the configuration and says what is unwise about it.
func (p program) load(c *cobra.Command) (*config.Config, error) {
	cfg, err := config.Load(config.LoadOptions{Flags: c.Flags(), Env: p.env})
	if err != nil {
		return nil, err
	}
	for _, w := range cfg.Warnings {
		fmt.Fprintf(p.stderr, "warning: %s\n", w)
	}
	return cfg, nil
}
