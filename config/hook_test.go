package config

import (
	"strings"
	"testing"
)

// hookEnv is a good configuration with a hook, changed.
func hookEnv(changes ...string) []string {
	return goodEnv(append([]string{"HOOK_LISTEN=127.0.0.1:8081", "HOOK_SECRET=" + otherSecret}, changes...)...)
}

// The hook listens where nobody but Hydra can be: in clear on an address that is
// not routed, with TLS anywhere, and never where another side is.
func TestHookListen(t *testing.T) {
	const form, private, server, ops = "hook.listen (env TOKENOS_HOOK_LISTEN): expected host:port", "hook.listen (env TOKENOS_HOOK_LISTEN): expected a loopback or private",
		"hook.listen (env TOKENOS_HOOK_LISTEN): expected another address than server.listen", "hook.listen (env TOKENOS_HOOK_LISTEN): expected another address than ops.listen"
	cert, key := certificate(t)
	withTLS := []string{"HOOK_TLS_CERT_FILE=" + cert, "HOOK_TLS_KEY_FILE=" + key}
	for _, c := range []struct {
		listen string
		tls    bool
		want   string
	}{
		{"127.0.0.1:8081", false, ""}, {"[::1]:8081", false, ""}, {"localhost:8081", false, ""}, {"10.1.2.3:8081", false, ""}, {"192.168.0.9:0", false, ""},
		{"172.31.0.1:80", false, ""}, {"[fd00::1]:80", false, ""}, {"169.254.1.1:80", false, ""}, {"[::ffff:10.0.0.1]:80", false, ""},
		{"0.0.0.0:8081", false, private}, {":8081", false, private}, {"[::]:8081", false, private}, {"203.0.113.7:8081", false, private}, {"172.32.0.1:80", false, private},
		{"[2001:db8::1]:80", false, private}, {"tokenos:8081", false, private}, {"127.0.0.1.example:80", false, private}, {"[::ffff:203.0.113.7]:80", false, private},
		{"0.0.0.0:8081", true, ""}, {":8081", true, ""}, {"tokenos:8081", true, ""}, {"203.0.113.7:443", true, ""},
		{"127.0.0.1:8080", false, server}, {"0.0.0.0:8080", true, server}, {":8080", true, server}, {"127.0.0.1:9090", false, ops}, {"10.0.0.1:8080", false, ""},
		{"8081", false, form}, {"127.0.0.1", false, form}, {"a b:1", false, form}, {"127.0.0.1:99999", false, form},
	} {
		env := hookEnv("HOOK_LISTEN="+c.listen, "OPS_LISTEN=127.0.0.1:9090")
		if c.tls {
			env = hookEnv(append(withTLS, "HOOK_LISTEN="+c.listen, "OPS_LISTEN=127.0.0.1:9090")...)
		}
		_, err := loadEnv(env)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s, TLS %v: %v", c.listen, c.tls, err)
			}
			continue
		}
		wantProblems(t, err, c.want)
	}
}

// A hook has a secret of its own that somebody made at random; a second one is
// another. Without a hook nothing of it is asked for.
func TestHookSecrets(t *testing.T) {
	const third = "Mq4Xb8Rt1Zw6Ny3Kd9Vp2Hs7Lf5Jc0Ga"
	at := func(name string) string {
		return "hook." + name + " (env TOKENOS_HOOK_" + strings.ToUpper(name) + "): "
	}
	for _, c := range []struct {
		changes []string
		want    string
	}{
		{nil, ""}, {[]string{"HOOK_PREVIOUS_SECRET=" + third}, ""}, {[]string{"HOOK_LISTEN=", "HOOK_SECRET"}, ""}, {[]string{"HOOK_PREVIOUS_SECRET="}, ""},
		{[]string{"HOOK_SECRET"}, "hook.secret (default): required because hook.listen is set"}, {[]string{"HOOK_SECRET="}, at("secret") + "required because"},
		{[]string{"HOOK_SECRET=q8ZrT3vLw0XkPn7cYb2MhJd5FsGa9Ue"}, at("secret") + "expected at least 32"},
		{[]string{"HOOK_SECRET=" + goodSecret}, at("secret") + "expected another secret than the server secret"},
		{[]string{"HOOK_SECRET=" + strings.Repeat("ab", 20)}, at("secret") + "expected a random secret"},
		{[]string{"HOOK_SECRET=Zx1Nq7Vw3Lr9Tp5Kd2Hs8Jf4 Gb6McYeA"}, at("secret")},
		{[]string{"HOOK_PREVIOUS_SECRET=" + otherSecret}, at("previous_secret") + "expected another secret than hook.secret"},
		{[]string{"HOOK_PREVIOUS_SECRET=short"}, at("previous_secret")},
	} {
		cfg, err := loadEnv(hookEnv(c.changes...))
		if c.want != "" {
			wantProblems(t, err, c.want)
			if strings.Contains(err.Error(), otherSecret) {
				t.Errorf("%v: the secret is told", c.changes)
			}
			continue
		}
		if err != nil {
			t.Errorf("%v: %v", c.changes, err)
			continue
		}
		var out strings.Builder
		if err := cfg.Print(&out, "json", true); err != nil || strings.Contains(out.String(), otherSecret) || strings.Contains(out.String(), third) {
			t.Errorf("%v: printed %v with a secret", c.changes, err)
		}
	}
}

// The hook's certificate is complete and fits its key.
func TestHookTLS(t *testing.T) {
	cert, key := certificate(t)
	_, other := certificate(t)
	wantProblems(t, second(loadEnv(hookEnv("HOOK_TLS_CERT_FILE="+cert))), "hook.tls.key_file (default): required")
	wantProblems(t, second(loadEnv(hookEnv("HOOK_TLS_KEY_FILE="+key))), "hook.tls.cert_file (default): required")
	wantProblems(t, second(loadEnv(hookEnv("HOOK_TLS_CERT_FILE="+cert, "HOOK_TLS_KEY_FILE="+other))), "hook.tls.cert_file (env TOKENOS_HOOK_TLS_CERT_FILE): expected a PEM certificate")
	if _, err := loadEnv(hookEnv("HOOK_TLS_CERT_FILE="+cert, "HOOK_TLS_KEY_FILE="+key)); err != nil {
		t.Error(err)
	}
}

func second(_ *Config, err error) error { return err }
