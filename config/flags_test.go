package config

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// There is one flag per key, with its default and meaning in the help, and the
// help shows no secret, not even one that was given.
func TestRegisterFlags(t *testing.T) {
	fs := parsed(t, "--secret", goodSecret, "--ledger.url=postgres://u:"+ledgerPass+"@h/d", "--previous_secrets", otherSecret)
	for _, v := range Vars() {
		f := fs.Lookup(v.Path)
		if f == nil {
			t.Errorf("no flag --%s", v.Path)
			continue
		}
		if !strings.HasPrefix(f.Usage, v.Doc) {
			t.Errorf("--%s says %q, want %q", v.Path, f.Usage, v.Doc)
		}
		if v.Secret && !strings.Contains(f.Usage, v.Env+fileSuffix) {
			t.Errorf("--%s does not name the better way", v.Path)
		}
	}
	help := fs.FlagUsages()
	for _, want := range []string{"--config string", "--server.listen string", "(default \"127.0.0.1:8080\")", "--hydra.timeout duration", "--keys.require_if_match"} {
		if !strings.Contains(help, want) {
			t.Errorf("the help lacks %q:\n%s", want, help)
		}
	}
	fs.VisitAll(func(f *pflag.Flag) { help += f.Value.String() + f.DefValue })
	for _, secret := range []string{goodSecret, otherSecret, ledgerPass} {
		if strings.Contains(help, secret) {
			t.Errorf("the flags show %q", secret)
		}
	}
}

// A program that has its own --config keeps it; flags that are not ours, and
// those not given, set nothing.
func TestFlagsOfOthers(t *testing.T) {
	fs := pflag.NewFlagSet("x", pflag.ContinueOnError)
	fs.StringP("config", "c", "", "their own")
	fs.Bool("verbose", false, "")
	RegisterFlags(fs)
	file := write(t, "t.yaml", "log: {level: debug}", 0o600)
	if err := fs.Parse([]string{"-c", file, "--verbose"}); err != nil {
		t.Fatal(err)
	}
	cfg, err := Load(LoadOptions{Flags: fs, Env: goodEnv()})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Log.Level != "debug" || cfg.Source("log.format") != "default" {
		t.Errorf("level %s, format from %s", cfg.Log.Level, cfg.Source("log.format"))
	}
}

// A list's flag may be repeated and may hold commas; a truth value needs none.
func TestFlagValues(t *testing.T) {
	fs := parsed(t, "--server.trusted_proxies=10.0.0.1,10.0.0.2", "--server.trusted_proxies", "10.0.0.3", "--keys.require_if_match")
	cfg, err := Load(LoadOptions{Flags: fs, Env: goodEnv(), Defaults: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}, cfg.Server.TrustedProxies); diff != "" || !cfg.Keys.RequireIfMatch {
		t.Errorf("require_if_match %v, proxies (-want +got):\n%s", cfg.Keys.RequireIfMatch, diff)
	}
}

// An unknown flag is refused with the one probably meant; another error stays
// as it is.
func TestFlagError(t *testing.T) {
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	RegisterFlags(fs)
	for arg, want := range map[string]string{
		"--server.listn=x": `unknown flag: --server.listn; did you mean "server.listen"?`,
		"--listen":         `unknown flag: --listen; did you mean "hook.listen" or "ops.listen" or "server.listen"?`,
		"--zzzzzzzz":       "unknown flag: --zzzzzzzz",
	} {
		err := FlagError(fs, fs.Parse([]string{arg}))
		if err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", arg, err, want)
		}
		if _, ok := errors.AsType[*pflag.NotExistError](err); !ok {
			t.Errorf("%s: the error lost its kind", arg)
		}
	}
	other := errors.New("other")
	if got := FlagError(fs, other); !errors.Is(got, other) {
		t.Errorf("got %v, want %v", got, other)
	}
	if got := FlagError(fs, nil); got != nil {
		t.Errorf("got %v, want nil", got)
	}
}
