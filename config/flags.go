package config

import (
	"errors"
	"fmt"

	"github.com/knadh/koanf/providers/posflag"
	"github.com/spf13/pflag"
)

const configFlag = "config"

// RegisterFlags adds --config, unless the set has it, and one flag per key:
// --server.listen and so on. A list's flag may be repeated. Setting a flag
// never fails; Load checks the value and does not repeat it, unlike pflag.
func RegisterFlags(fs *pflag.FlagSet) {
	if fs.Lookup(configFlag) == nil {
		fs.String(configFlag, "", "configuration file, YAML (default ./tokenos.yaml, else /etc/tokenos/tokenos.yaml)")
	}
	for _, v := range vars() {
		usage := v.Doc
		if v.Secret {
			usage += " Better given as " + v.Env + fileSuffix + ": other users can see a program's arguments."
		}
		f := fs.VarPF(&flagValue{key: v}, v.Path, "", usage)
		if v.Type == "boolean" {
			f.NoOptDefVal = "true"
		}
	}
}

// FlagError adds to pflag's error about an unknown flag the name that was
// probably meant; any other error it returns as it is. It has the form of
// cobra's FlagErrorFunc but for the command.
func FlagError(fs *pflag.FlagSet, err error) error {
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok {
		return err
	}
	var known []string
	fs.VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	return fmt.Errorf("%w%s", err, suggest(unknown.GetSpecifiedName(), known, ""))
}

// flagValue takes any text.
type flagValue struct {
	key  Var
	text string
	set  bool
}

// Set keeps the text; a list grows.
func (f *flagValue) Set(text string) error {
	if f.set && f.key.Type == "list" {
		text = f.text + "\n" + text
	}
	f.text, f.set = text, true
	return nil
}

// String returns the text, or the default before it is set; never a secret.
func (f *flagValue) String() string {
	switch {
	case f.set && f.key.Secret:
		return redacted
	case f.set:
		return f.text
	case f.key.Type == "list":
		return ""
	}
	return f.key.Default
}

// Type is the word in the usage text.
func (f *flagValue) Type() string {
	if f.key.Type == "boolean" {
		return "bool" // pflag leaves this word out of the usage text
	}
	return f.key.Type
}

// flags lays the flags that were given over everything else.
func (l *loader) flags(fs *pflag.FlagSet) {
	if fs == nil {
		return
	}
	l.merge(posflag.ProviderWithFlag(fs, ".", nil, func(f *pflag.Flag) (string, any) {
		// A flag of the program that happens to bear a key's name is not ours.
		value, ours := f.Value.(*flagValue)
		if !ours || !f.Changed {
			return "", nil
		}
		l.sources[value.key.Path] = "flag --" + f.Name
		delete(l.broken, value.key.Path)
		if value.key.Secret {
			l.warn("--%s was given on the command line, where other users of this machine can see it: use %s", f.Name, value.key.Env+fileSuffix)
		}
		return value.key.Path, value.key.parse(value.text)
	}))
}
