package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tokenos/tokenos/config"
)

// configured gives a command a flag for every key of the configuration. Its help
// shows --config alone: serve's shows them all, and here they would bury its own.
func configured(c *cobra.Command) {
	own := map[string]bool{"config": true}
	c.Flags().VisitAll(func(f *pflag.Flag) { own[f.Name] = true })
	config.RegisterFlags(c.Flags())
	c.Flags().VisitAll(func(f *pflag.Flag) { f.Hidden = f.Hidden || !own[f.Name] })
	if c.Long == "" {
		c.Long = c.Short + "."
	}
	c.Long += "\n\nEvery flag of `tokenos serve` (see its help) sets the configuration here too."
}

func (p program) config() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Check or show the configuration of tokenos serve",
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}

	validate := &cobra.Command{Use: "validate", Short: "Check everything and list all that is wrong; exit code 2 if anything is",
		RunE: func(c *cobra.Command, _ []string) error {
			if _, err := p.load(c); err != nil {
				return err
			}
			_, err := fmt.Fprintln(p.stdout, "the configuration is valid")
			return err
		}}
	configured(validate)

	var format string
	var sources bool
	show := &cobra.Command{Use: "print", Short: "Show every value; secrets are redacted",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := oneOf("output", format, "yaml", "json"); err != nil {
				return err
			}
			cfg, err := p.load(c)
			if err != nil {
				return err
			}
			return cfg.Print(p.stdout, format, sources)
		}}
	configured(show)
	show.Flags().StringVarP(&format, "output", "o", "yaml", "yaml or json")
	show.Flags().BoolVar(&sources, "sources", false, "say where each value came from")

	schema := &cobra.Command{Use: "schema", Short: "Print the JSON Schema of the configuration file, for editors",
		RunE: func(*cobra.Command, []string) error {
			raw, err := config.Schema()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(p.stdout, string(raw))
			return err
		}}
	c.AddCommand(validate, show, schema)
	return c
}
