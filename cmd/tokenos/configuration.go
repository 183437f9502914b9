package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tokenos/tokenos/config"
)

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
	config.RegisterFlags(validate.Flags())

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
	config.RegisterFlags(show.Flags())
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
