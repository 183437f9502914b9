package composetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The TLS end forwards to services that compose has, by https to Hydra, and to
// no port but the two public ones.
func TestCaddyfile(t *testing.T) {
	project := mustLoad(t)
	var upstreams []string
	for _, found := range regexp.MustCompile(`(?m)^\s*reverse_proxy\s+(\S+)`).FindAllStringSubmatch(read(t, "deploy", "Caddyfile"), -1) {
		upstreams = append(upstreams, found[1])
		service, _, _ := strings.Cut(strings.TrimPrefix(found[1], "https://"), ":")
		if _, ok := project.Services[service]; !ok {
			t.Errorf("forwards to %q, which is no service", service)
		}
	}
	if want := []string{"tokenos:8080", "https://hydra:4444"}; !slices.Equal(upstreams, want) {
		t.Errorf("forwards to %q, want %q", upstreams, want)
	}
}

// Each file that compose mounts or builds from is in the project.
func TestFiles(t *testing.T) {
	project := mustLoad(t)
	paths := []string{filepath.Join(project.Services["tokenos"].Build.Context, project.Services["tokenos"].Build.Dockerfile)}
	for _, config := range project.Configs {
		paths = append(paths, config.File)
	}
	for _, service := range project.Services {
		for _, volume := range service.Volumes {
			if volume.Type == "bind" {
				paths = append(paths, volume.Source)
			}
		}
	}
	for _, path := range paths {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}

// tokenos takes the settings that compose gives it, every one, and would have
// refused one that it does not know.
func TestSettings(t *testing.T) {
	program := filepath.Join(t.TempDir(), "tokenos")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./cmd/tokenos")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	project, folder := mustLoad(t), makeSecrets(t)
	var settings []string
	for name, value := range project.Services["tokenos"].Environment {
		if source, ok := strings.CutPrefix(deref(value), "/run/secrets/"); ok {
			value = new(filepath.Join(folder, filepath.Base(project.Secrets[source].File)))
		}
		settings = append(settings, name+"="+deref(value))
	}
	validate := func(extra ...string) (string, error) {
		command := exec.CommandContext(t.Context(), program, "config", "validate")
		command.Dir = t.TempDir()
		command.Env = append(append([]string{"HOME=" + t.TempDir()}, settings...), extra...)
		out, err := command.CombinedOutput()
		return string(out), err
	}
	if out, err := validate(); err != nil {
		t.Errorf("tokenos config validate: %v\n%s", err, out)
	}
	if out, err := validate("TOKENOS_SERVER_NO_SUCH_SETTING=1"); err == nil {
		t.Errorf("an unknown setting was taken:\n%s", out)
	}
}
