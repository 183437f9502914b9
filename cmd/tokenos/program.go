package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tokenos/tokenos/config"
	"github.com/tokenos/tokenos/hydradev"
)

// program is everything the commands may touch of the world outside.
type program struct {
	env    []string
	stdin  io.Reader // nil: nothing
	stdout io.Writer // data
	stderr io.Writer // words about it
}

// run is the program: it returns the exit code.
func (p program) run(ctx context.Context, args []string) int {
	root := p.root()
	root.SetArgs(args)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	ran, err := root.ExecuteContextC(ctx)
	return p.exitCode(ctx, ran, err)
}

func (p program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "tokenos",
		Short: "API keys on Ory Hydra",
		Long: "tokenos manages API keys that are OAuth 2.0 clients in Ory Hydra.\n" +
			"Start with `tokenos dev`: a real Hydra and this program, from one command.\n\n" + exitCodes,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
		// Cobra would say the same later, as failures of another kind.
		PersistentPreRunE: func(c *cobra.Command, _ []string) error {
			if err := errors.Join(c.ValidateRequiredFlags(), c.ValidateFlagGroups()); err != nil {
				return flagFault(err)
			}
			return nil
		},
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		if bad, ok := errors.AsType[*pflag.InvalidValueError](err); ok { // whose words repeat the value
			if kind := bad.GetFlag().Value.Type(); kind != "duration" {
				return usagef("--%s needs a value of type %s", bad.GetFlag().Name, kind)
			}
			return usagef("--%s must be a duration such as 30s or 2m", bad.GetFlag().Name)
		}
		return usageError{config.FlagError(c.Flags(), err)}
	})
	root.AddCommand(p.dev(), p.serve(), p.migrate(), p.bootstrap(), p.audit(), p.doctor(), p.signingKeys(), p.scan(), p.config(), p.version(),
		p.keys(), p.alone((*remote).apply), p.alone((*remote).export), p.owners(), p.rules(), p.capabilities(), p.tokens(), p.jwk(), p.assertion(),
		p.auth(), p.profileCommand())
	root.Version = version() // --version says what the command does
	root.SetVersionTemplate("{{.Version}}\n")
	noStrayArgs(root)
	p.complete(root)
	return root
}

func (p program) version() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		RunE: func(*cobra.Command, []string) error {
			if err := oneOf("output", format, "text", "json"); err != nil {
				return err
			}
			if format == "json" {
				return writeJSON(p.stdout, build())
			}
			_, err := fmt.Fprintln(p.stdout, version())
			return err
		},
	}
	c.Flags().StringVarP(&format, "output", "o", "text", "text or json")
	return c
}

// built is what is known of this build.
type built struct {
	Version  string `json:"version"`
	Revision string `json:"revision"` // of the source; "" if it is not known
	Modified bool   `json:"modified"` // the source was changed since that revision
	Go       string `json:"go"`
	Platform string `json:"platform"` // "linux/amd64"
	Hydra    string `json:"hydra"`    // that tokenos dev builds
}

func build() built {
	out := built{Version: version(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Hydra: hydradev.Version}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				out.Revision = s.Value
			case "vcs.modified":
				out.Modified = s.Value == "true"
			}
		}
	}
	return out
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

// read reads the configuration, and checks the policies that it names.
func (p program) read(c *cobra.Command) (*config.Config, error) {
	cfg, err := config.Load(config.LoadOptions{Flags: c.Flags(), Env: p.env})
	if err != nil {
		return nil, err
	}
	if _, err := policies(cfg.Policies); err != nil {
		return nil, err
	}
	return cfg, nil
}

// load reads the configuration and tells a person what is unwise about it.
func (p program) load(c *cobra.Command) (*config.Config, error) {
	cfg, err := p.read(c)
	if err != nil {
		return nil, err
	}
	for _, w := range cfg.Warnings {
		fmt.Fprintf(p.stderr, "warning: %s\n", w)
	}
	return cfg, nil
}

// oneOf checks a flag that takes one of a few words.
func oneOf(flag, value string, words ...string) error {
	if slices.Contains(words, value) {
		return nil
	}
	last := len(words) - 1
	return usagef("--%s must be %s or %s", flag, strings.Join(words[:last], ", "), words[last])
}
