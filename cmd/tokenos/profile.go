package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"go.yaml.in/yaml/v3"

	"github.com/tokenos/tokenos/apikey"
)

// profile is a server and the management key with which a person calls it.
type profile struct {
	Server       string   `yaml:"server"`
	TokenURL     string   `yaml:"token_url"`
	ClientID     string   `yaml:"client_id"`
	ClientSecret string   `yaml:"client_secret"`
	AuthMethod   string   `yaml:"auth_method"`
	Scopes       []string `yaml:"scopes"` // the rights it asks for
}

// String keeps the secret out of whatever prints a profile.
func (p profile) String() string   { return "profile of " + p.ClientID + " at " + p.Server }
func (p profile) GoString() string { return p.String() }

// profileFile is what signing in leaves behind: one file, for its owner alone.
type profileFile struct {
	Current  string             `yaml:"current"`
	Profiles map[string]profile `yaml:"profiles"`
	path     string
}

const (
	maxProfiles     = 100
	maxProfileBytes = 1 << 20
	defaultProfile  = "default"
)

// errNoHome is that the system names no place for files of this user.
var errNoHome = errors.New("no home directory to keep profiles in")

var profileName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// checkProfileName refuses what is none, and a credential in its place, which is
// not to be repeated.
func checkProfileName(name string) error {
	if !profileName.MatchString(name) || looksSecret(name) {
		return usagef("a profile's name has letters, digits, dots, dashes and underscores, at most 63, and is no credential")
	}
	return nil
}

// profilePath is $XDG_CONFIG_HOME/tokenos/profiles.yaml, or where the system
// keeps such files.
func (p program) profilePath() (string, error) {
	if dir := p.variable("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "tokenos", "profiles.yaml"), nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", withHint(errNoHome, "set XDG_CONFIG_HOME, or use TOKENOS_SERVER and TOKENOS_TOKEN_FILE instead")
	}
	return filepath.Join(dir, "tokenos", "profiles.yaml"), nil
}

// profiles reads the file; none is an empty one. A file that others can read is
// used, with a warning.
func (p program) profiles() (*profileFile, error) {
	path, err := p.profilePath()
	if err != nil {
		return nil, err
	}
	out := &profileFile{path: path, Profiles: map[string]profile{}}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the profiles: %w", err)
	}
	defer func() { _ = f.Close() }()
	raw, err := io.ReadAll(io.LimitReader(f, maxProfileBytes))
	if err != nil {
		return nil, fmt.Errorf("read the profiles: %w", err)
	}
	if yaml.Unmarshal(raw, out) != nil { // whose words may repeat the secret
		return nil, withHint(fmt.Errorf("%s is not a file of profiles", path), "move it away and sign in again: tokenos auth login")
	}
	if out.Profiles == nil {
		out.Profiles = map[string]profile{}
	}
	if st, err := f.Stat(); err == nil && openToOthers(st) {
		fmt.Fprintf(p.stderr, "warning: %s holds a secret and can be read by others; chmod 600 it\n", path)
	}
	return out, nil
}

// save writes the file anew, in one step, for its owner alone.
func (f *profileFile) save() error {
	if len(f.Profiles) > maxProfiles {
		return fmt.Errorf("more than %d profiles", maxProfiles)
	}
	raw, err := yaml.Marshal(f)
	if err != nil {
		return errors.New("write the profiles: they cannot be encoded")
	}
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return fmt.Errorf("write the profiles: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(f.path), ".profiles-*") // 0600
	if err != nil {
		return fmt.Errorf("write the profiles: %w", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(raw)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("write the profiles: %w", err)
	}
	if err := os.Rename(tmp.Name(), f.path); err != nil {
		return fmt.Errorf("write the profiles: %w", err)
	}
	return nil
}

// choose is the profile that a command uses: the one named, else the current.
func (f *profileFile) choose(name string) (profile, string, error) {
	if name == "" {
		name = f.Current
	}
	if name == "" {
		return profile{}, "", nil
	}
	if err := checkProfileName(name); err != nil {
		return profile{}, "", err
	}
	got, ok := f.Profiles[name]
	if !ok {
		return profile{}, "", withHint(&apikey.Error{Kind: apikey.ErrUnauthenticated, Detail: "there is no profile " + name}, "tokenos auth status lists them; tokenos auth login --profile "+name+" makes it")
	}
	return got, name, nil
}
