package scan

import (
	"crypto/sha256"
	"encoding/hex"
)

// Kind is what was found.
type Kind string

// A secret lets its finder in; an id does not.
const (
	Secret Kind = "secret"
	ID     Kind = "id"
)

// Encoding is how it was written; "" is as it is.
type Encoding string

const (
	Base64  Encoding = "base64"
	Percent Encoding = "percent-encoding" // RFC 3986 section 2.1
)

// Part is where in an object of git or in a folder something was found; "" is the
// content of a file.
type Part string

const (
	InName    Part = "name"    // of the file itself, or of one in that folder
	InMessage Part = "message" // of a commit or a tag
)

// near is how far from a secret, in bytes, an id may stand and be taken for its
// key's.
const near = 4096

// MaxFindings is how many findings are kept at most.
const MaxFindings = 10_000

// Finding is one credential in one place. It does not hold the secret.
type Finding struct {
	Kind Kind `json:"kind"`

	// Path is as the caller named it or the folder it lies in; "-" is standard
	// input. Secrets in it are redacted. In the history of a repository it is one
	// of the paths that the content had there, "" for a message.
	Path string `json:"path"`
	Part Part   `json:"part,omitzero"`

	// Line and Column count from 1, columns in bytes, and Offset from 0. All are
	// 0 for a name or a message.
	Line   int64 `json:"line,omitzero"`
	Column int64 `json:"column,omitzero"`
	Offset int64 `json:"offset"`

	// Commit is the oldest commit that has it there; "" outside a history, and
	// where no commit is known, as for what is only staged.
	Commit string `json:"commit,omitzero"`

	Encoding Encoding `json:"encoding,omitzero"`

	// Redacted is "tos_..." and the last four characters of a secret, which the
	// product shows as the key's hint, or the id itself.
	Redacted string `json:"redacted"`

	// ID is, for a secret, the id that stands nearest to it, within 4,096 bytes:
	// most likely of its key. "" if there is none.
	ID string `json:"id,omitzero"`

	// Fingerprint is the same for one secret wherever it is, and does not tell it:
	// 32 hexadecimal digits.
	Fingerprint string `json:"fingerprint"`

	object string // of git, or what stands for it
	end    int64  // offset behind it
	line   int64  // Line - 1
	apart  int64  // lines between it and ID
}

// fingerprint hashes what was found. A secret has 256 random bits, so nobody finds
// it by trying.
func fingerprint(text string) string {
	sum := sha256.Sum256([]byte("tokenos scan 1\x00" + text))
	return hex.EncodeToString(sum[:16])
}

func redact(kind Kind, text string) string {
	if kind == ID {
		return text
	}
	return text[:wordLen] + "..." + text[len(text)-4:]
}

// Scanner finds credentials in what is written to it, in whatever pieces. Its
// memory does not grow with what it reads, only with what it finds. The zero
// Scanner keeps nothing: see [NewScanner].
type Scanner struct {
	ids    bool
	ignore map[string]bool // fingerprints
	room   int
	full   bool
	at     place
	plain  seeker
	packed unbase64
	id     *Finding // the last one
	found  []Finding
}

// NewScanner makes a Scanner that keeps as many findings as there is room for,
// ids among them only if asked for.
func NewScanner(ids bool, room int) *Scanner { return &Scanner{ids: ids, room: room} }

// Write scans p. It never fails.
func (s *Scanner) Write(p []byte) (int, error) {
	at := s.at
	for _, b := range p {
		if s.plain.feed(b, at) {
			s.keep(&s.plain, "", at.offset+1)
		}
		if lane := s.packed.feed(b, at); lane != nil {
			s.keep(lane, Base64, at.offset+1)
		}
		at.offset++
		if b == '\n' {
			at.line++
			at.start = at.offset
		}
	}
	s.at = at
	return len(p), nil
}

// Findings is what was found so far, in the order of its ends.
func (s *Scanner) Findings() []Finding { return s.found }

// Full reports whether more was found than there was room for.
func (s *Scanner) Full() bool { return s.full }

// keep takes what a seeker has completed, which ended before the offset.
func (s *Scanner) keep(k *seeker, e Encoding, end int64) {
	text := k.found()
	if e == "" && end-k.from.offset > int64(len(text)) {
		e = Percent
	}
	f := Finding{
		Kind: k.kind, Encoding: e, Redacted: redact(k.kind, text), Fingerprint: fingerprint(text),
		Line: k.from.line + 1, Column: k.from.offset - k.from.start + 1, Offset: k.from.offset,
		line: k.from.line, end: end,
	}
	if f.Kind == ID {
		s.belongs(f)
		s.id = &f
		if !s.ids {
			return
		}
	} else if s.id != nil && f.Offset-s.id.end <= near {
		f.ID = s.id.Redacted
		f.apart = f.line - s.id.line
	}
	switch {
	case s.ignore[f.Fingerprint]:
	case len(s.found) >= s.room:
		s.full = true
	default:
		s.found = append(s.found, f)
	}
}

// belongs gives the id to secrets before it that have none, or one that is more
// lines away.
func (s *Scanner) belongs(id Finding) {
	for i := len(s.found) - 1; i >= 0 && id.Offset-s.found[i].end <= near; i-- {
		f := &s.found[i]
		if lines := id.line - f.line; f.Kind == Secret && (f.ID == "" || lines < f.apart) {
			f.ID, f.apart = id.Redacted, lines
		}
	}
}
