package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// handover is where the secrets of new keys go.
type handover interface {
	// check fails if the secret of a step could not be taken. It is asked before
	// anything is changed.
	check(*step) error
	// begin makes ready for the secret of a key that is about to be made, and
	// remembers that it is.
	begin(*step) error
	// abandon forgets that: the key was not made.
	abandon(*step)
	// deliver takes the secret and says where it went.
	deliver(context.Context, *step, credential) (where string, err error)
	// waiting reports whether begin remembers the key, because its secret was never
	// delivered.
	waiting(*step) bool
}

// credential is a new key with its secret.
type credential struct {
	key      apikey.Key
	secret   apikey.Secret
	tokenURL string
}

func (r *remote) handover(ctx context.Context, o applying) (handover, error) {
	switch {
	case o.secretsDir != "":
		st, err := os.Stat(o.secretsDir)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, usagef("--secrets-dir: there is no such folder; make it with mkdir -m 700")
		}
		if err != nil || !st.IsDir() {
			return nil, usagef("--secrets-dir must be a folder that can be read")
		}
		return &secretsDir{dir: o.secretsDir, names: map[string]string{}}, nil
	case o.secretCommand != "":
		args, err := splitCommand(o.secretCommand)
		if err != nil {
			return nil, err
		}
		if args[0], err = exec.LookPath(args[0]); err != nil {
			return nil, usagef("--secret-command: its program was not found")
		}
		return &secretCommand{program: r.program, args: args, interrupted: ctx.Done()}, nil
	}
	return nil, nil
}

// secretsDir writes a file per key. Beside it, while the key is being made, stands
// a file that ends in .pending and holds the Idempotency-Key: an apply that comes
// after an interrupted one finds it there, and has the secret answered again.
type secretsDir struct {
	dir   string
	names map[string]string // the step that has each file name
}

func (d *secretsDir) path(s *step) string {
	p := s.params
	return filepath.Join(d.dir, strings.Join([]string{fileName(p.Owner), fileName(p.Name), string(p.Environment), "env"}, "."))
}

// maxFileName bounds each part of a file's name.
const maxFileName = 60

// fileName is text as part of a file's name, in lower-case letters, digits, _ and
// -. What had to be changed gets a mark that keeps it apart from others.
func fileName(text string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_', r == '-':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, text)
	name = name[:min(len(name), maxFileName)]
	if name != text {
		sum := sha256.Sum256([]byte(text))
		name += "-" + hex.EncodeToString(sum[:4])
	}
	return name
}

func (d *secretsDir) check(s *step) error {
	path := d.path(s)
	if other, taken := d.names[path]; taken {
		return usagef("the secrets of %s and %s would go to one file, %s; nothing was changed", other, s.title(), path)
	}
	d.names[path] = s.title()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) && !s.resume {
		return withHint(usagef("%s exists, and is not overwritten; nothing was changed", path), "move it away if nobody needs it")
	}
	if waits := d.pending(s); waits != "" && waits != s.params.IdempotencyKey {
		return withHint(usagef("%s.pending is left from an apply of another document; nothing was changed", path), "look whether a key was made of it, then remove the file")
	}
	return nil
}

// pending is the Idempotency-Key in the file that begin leaves, "" without one.
func (d *secretsDir) pending(s *step) string {
	text, err := readRegular(d.path(s)+".pending", 1<<10)
	if err != nil {
		return ""
	}
	_, key, _ := strings.Cut(string(text), pendingText)
	return strings.TrimSpace(key)
}

const pendingText = "# tokenos apply is making this key. If it was interrupted, apply again within a day. "

func (d *secretsDir) begin(s *step) error {
	if d.pending(s) == s.params.IdempotencyKey {
		return nil
	}
	return writeNew(d.path(s)+".pending", pendingText+s.params.IdempotencyKey+"\n")
}

func (d *secretsDir) abandon(s *step) { os.Remove(d.path(s) + ".pending") }

func (d *secretsDir) waiting(s *step) bool { return d.pending(s) == s.params.IdempotencyKey }

func (d *secretsDir) deliver(_ context.Context, s *step, c credential) (string, error) {
	path, text := d.path(s), envFileText(c.key.ID, c.secret.Reveal(), c.tokenURL)
	have, err := readRegular(path, 1<<10)
	if s.resume && err == nil && string(have) == text { // then only the other file was left
		d.abandon(s)
		return path, nil
	}
	if err := writeNew(path, text); err != nil {
		plainly := errors.New(err.Error()) // no mistake in the call any more: something was done
		return "", withHint(lostSecret(c.key.ID, plainly), "mend that and apply again within a day: it writes the same secret then")
	}
	d.abandon(s)
	return path, nil
}

// writeNew writes a new file for its owner alone, down to the disk, and leaves
// none behind that is not whole.
func writeNew(path, text string) error {
	f, err := newPrivateFile(path)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(path)
		return fmt.Errorf("write the file for the secret: %w", err)
	}
	return nil
}

// secretCommand runs a program per key.
type secretCommand struct {
	program
	args        []string
	interrupted <-chan struct{} // closed once we are
}

const (
	// secretCommandTime is how long one run may take.
	secretCommandTime = time.Minute
	// signalTime is how much later than the command we may hear of a Ctrl-C.
	signalTime = 200 * time.Millisecond
)

func (c *secretCommand) check(*step) error  { return nil }
func (c *secretCommand) begin(*step) error  { return nil }
func (c *secretCommand) abandon(*step)      {}
func (c *secretCommand) waiting(*step) bool { return false }

// deliver hands the secret to the command. At a terminal Ctrl-C ends the command,
// too; it is then run once more, because the key is made and its secret must not be
// lost.
func (c *secretCommand) deliver(ctx context.Context, _ *step, got credential) (string, error) {
	before := c.wasInterrupted(0)
	err := c.run(ctx, got)
	if err != nil && !before && c.wasInterrupted(signalTime) {
		err = c.run(ctx, got)
	}
	if err != nil {
		return "", withHint(fmt.Errorf("%s was made, but --secret-command did not take its secret: %w", got.key.ID, err),
			"give it another secret: tokenos keys rotate "+got.key.ID)
	}
	return "--secret-command", nil
}

// wasInterrupted waits for an interruption.
func (c *secretCommand) wasInterrupted(within time.Duration) bool {
	wait := time.NewTimer(within)
	defer wait.Stop()
	select {
	case <-c.interrupted:
		return true
	default:
	}
	select {
	case <-c.interrupted:
		return true
	case <-wait.C:
		return false
	}
}

// run hands the secret to the command without a line end. What the command writes
// is words about it, and goes to stderr. It does not get our access token.
func (c *secretCommand) run(ctx context.Context, got credential) error {
	ctx, cancel := context.WithTimeout(ctx, secretCommandTime)
	defer cancel()
	run := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
	run.WaitDelay = 5 * time.Second
	run.Stdin = strings.NewReader(got.secret.Reveal())
	run.Stdout, run.Stderr = c.stderr, c.stderr
	run.Env = slices.DeleteFunc(slices.Clone(c.env), func(v string) bool { return strings.HasPrefix(v, "TOKENOS_TOKEN=") })
	run.Env = append(run.Env, "TOKENOS_KEY_ID="+got.key.ID, "TOKENOS_KEY_NAME="+got.key.Name, "TOKENOS_KEY_OWNER="+got.key.Owner,
		"TOKENOS_KEY_ENVIRONMENT="+string(got.key.Environment), "TOKENOS_AUTH_METHOD="+string(got.key.AuthMethod), "TOKENOS_TOKEN_URL="+got.tokenURL)
	return run.Run()
}

// splitCommand splits a command line: spaces separate, and what stands between
// two quotation marks of one kind stays together. There is no more to it.
func splitCommand(text string) ([]string, error) {
	var args []string
	var word strings.Builder
	open, in := rune(0), false
	for _, r := range text {
		switch {
		case open != 0 && r == open:
			open = 0
		case open == 0 && (r == '"' || r == '\''):
			open, in = r, true
		case open == 0 && (r == ' ' || r == '\t' || r == '\n'):
			if in {
				args = append(args, word.String())
			}
			word.Reset()
			in = false
		default:
			word.WriteRune(r)
			in = true
		}
	}
	if in {
		args = append(args, word.String())
	}
	if open != 0 || len(args) == 0 || args[0] == "" {
		return nil, usagef("--secret-command must be a program and its arguments, with quotation marks in pairs")
	}
	return args, nil
}
