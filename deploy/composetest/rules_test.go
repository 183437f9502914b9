package composetest

import (
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// faults lists what in the project breaks a rule.
func faults(project *types.Project) []string {
	var found []string
	for _, name := range slices.Sorted(slices.Values(project.ServiceNames())) {
		service := project.Services[name]
		for _, rule := range []func(*types.Project, types.ServiceConfig) []string{
			published, pinned, contained, connected, awaited, environment,
		} {
			for _, fault := range rule(project, service) {
				found = append(found, name+": "+fault)
			}
		}
	}
	return append(append(found, secrets(project)...), trusted(project)...)
}

// published: only the TLS end is reachable, on loopback, and never by the port of
// Hydra's unauthenticated admin API.
func published(_ *types.Project, service types.ServiceConfig) (found []string) {
	for _, port := range service.Ports {
		if service.Name != "tls" || port.Target == 4445 {
			found = append(found, fmt.Sprintf("publishes port %d", port.Target))
		}
		if address, err := netip.ParseAddr(port.HostIP); err != nil || !address.IsLoopback() {
			found = append(found, fmt.Sprintf("port %d is published on every address", port.Target))
		}
	}
	return found
}

// version is a tag that names at least a major version.
var version = regexp.MustCompile(`:v?[0-9]+[0-9A-Za-z.-]*$`)

// pinned: no image changes its major version by itself.
func pinned(_ *types.Project, service types.ServiceConfig) (found []string) {
	if !version.MatchString(service.Image) {
		found = append(found, fmt.Sprintf("image %q is not pinned to a version", service.Image))
	}
	return found
}

// contained: no root, no capability, nothing writable, no unbounded logs.
func contained(_ *types.Project, service types.ServiceConfig) (found []string) {
	if service.User == "" || strings.HasPrefix(service.User, "0") || strings.HasPrefix(service.User, "root") {
		found = append(found, fmt.Sprintf("runs as %q", service.User))
	}
	if !service.ReadOnly {
		found = append(found, "may write to its image")
	}
	if !slices.Contains(service.CapDrop, "ALL") {
		found = append(found, "keeps capabilities")
	}
	if !slices.Contains(service.SecurityOpt, "no-new-privileges:true") {
		found = append(found, "may gain privileges")
	}
	if service.Logging == nil || service.Logging.Options["max-size"] == "" {
		found = append(found, "may fill the disk with its log")
	}
	if service.PidsLimit <= 0 {
		found = append(found, "may start any number of processes")
	}
	return found
}

// connected: only the TLS end is in a network that leads outside.
func connected(project *types.Project, service types.ServiceConfig) (found []string) {
	for name := range service.Networks {
		if !project.Networks[name].Internal && service.Name != "tls" {
			found = append(found, "is in "+name+", which leads outside")
		}
	}
	return found
}

// awaited: what a service waits for can happen.
func awaited(project *types.Project, service types.ServiceConfig) (found []string) {
	for name, dependency := range service.DependsOn {
		target, ok := project.Services[name]
		switch {
		case !ok:
			found = append(found, "waits for "+name+", which does not exist")
		case dependency.Condition == types.ServiceConditionHealthy && target.HealthCheck == nil:
			found = append(found, "waits until "+name+" is healthy, which has no health check")
		case dependency.Condition == types.ServiceConditionCompletedSuccessfully &&
			target.Restart != "no" && !strings.HasPrefix(target.Restart, "on-failure"):
			found = append(found, "waits until "+name+" ends, which is restarted")
		}
	}
	return found
}

// sensitive are names of variables whose value would be a secret.
var sensitive = regexp.MustCompile(`(?i)PASSWORD|SECRET|TOKEN$|_KEY$|DSN|LEDGER_URL`)

// environment: no secret in it, and what callers use is https.
func environment(_ *types.Project, service types.ServiceConfig) (found []string) {
	for name, value := range service.Environment {
		if value == nil {
			found = append(found, name+" is taken from whoever starts it")
			continue
		}
		if sensitive.MatchString(name) && !strings.HasSuffix(name, "_FILE") {
			found = append(found, name+" is no file")
		}
		if strings.HasSuffix(name, "_FILE") && !strings.HasPrefix(*value, "/run/secrets/") {
			found = append(found, name+" is outside /run/secrets")
		}
		address, err := url.Parse(*value)
		if err != nil {
			continue // a listening address, for one
		}
		if address.User != nil {
			found = append(found, name+" holds credentials")
		}
		if strings.HasSuffix(name, "PUBLIC_URL") && address.Scheme != "https" {
			found = append(found, name+" is not https")
		}
	}
	return found
}

// secrets: each is a file in the one folder that git leaves out, and is used.
func secrets(project *types.Project) (found []string) {
	used := map[string]bool{}
	for _, service := range project.Services {
		for _, secret := range service.Secrets {
			used[secret.Source] = true
		}
	}
	for name, secret := range project.Secrets {
		file, err := filepath.Rel(project.WorkingDir, secret.File)
		if err != nil || filepath.Dir(file) != filepath.Join("deploy", "secrets") {
			found = append(found, fmt.Sprintf("secret %s: %q is outside deploy/secrets", name, file))
		}
		if !used[name] {
			found = append(found, "secret "+name+": nobody uses it")
		}
	}
	return found
}

// trusted: tokenos believes the TLS end, and nobody else, about the caller.
func trusted(project *types.Project) (found []string) {
	end := project.Services["tls"].Networks["core"]
	if end == nil || end.Ipv4Address == "" {
		return []string{"tls: has no fixed address in core"}
	}
	for _, name := range []string{"tokenos", "tokenos-migrate"} {
		proxies := project.Services[name].Environment["TOKENOS_SERVER_TRUSTED_PROXIES"]
		if proxies == nil || *proxies != end.Ipv4Address+"/32" {
			found = append(found, fmt.Sprintf("%s: trusts %q instead of tls alone", name, deref(proxies)))
		}
	}
	return found
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
