package scan_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/scan"
)

// A secret and the id of its key are made anew for each run: this repository has
// none in it.
var (
	secret = apikey.GenerateSecret().Reveal()
	id     = apikey.NewID(apikey.Live, time.Now())
)

// scanned is what a Scanner finds in a text.
func scanned(t testing.TB, text string, ids bool) []scan.Finding {
	t.Helper()
	s := scan.NewScanner(ids, 100)
	if n, err := s.Write([]byte(text)); n != len(text) || err != nil {
		t.Fatalf("Write = %d, %v", n, err)
	}
	return s.Findings()
}

func short(s string) string { return "tos_..." + s[len(s)-4:] }

// escape writes every byte in percent-encoding.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02x", s[i])
	}
	return b.String()
}

func wrap(s string, width int, end string) string {
	var b strings.Builder
	for len(s) > width {
		b.WriteString(s[:width] + end)
		s = s[width:]
	}
	return b.String() + s
}

// What is found stands where it is said to, in whatever it is wrapped.
func TestFound(t *testing.T) {
	pair := base64.StdEncoding.EncodeToString([]byte(id + ":" + secret))
	in := int64(len(id+":") / 3 * 4) // where the secret begins in it
	for _, c := range []struct {
		name, text string
		want       scan.Finding
	}{
		{"alone", secret, scan.Finding{Line: 1, Column: 1}},
		{"in a line", "a\nbc=" + secret + "\r\n", scan.Finding{Line: 2, Column: 4, Offset: 5}},
		{"glued to others", "x_tos_y" + secret + "0", scan.Finding{Line: 1, Column: 8, Offset: 7}},
		{"after half of one", secret[:30] + secret, scan.Finding{Line: 1, Column: 31, Offset: 30}},
		{"after its own beginning", "tos_tos" + secret, scan.Finding{Line: 1, Column: 8, Offset: 7}},
		{"among zeros", "\x00\xff\x00" + secret + "\x00", scan.Finding{Line: 1, Column: 4, Offset: 3}},
		{"quoted in JSON", `{"a":"{\"s\":\"` + secret + `\"}"}`, scan.Finding{Line: 1, Column: 16, Offset: 15}},
		{"beside its id", id + "," + secret, scan.Finding{ID: id, Line: 1, Column: 37, Offset: 36}},
		{"before its id", "s=" + secret + "\nid=" + id, scan.Finding{ID: id, Line: 1, Column: 3, Offset: 2}},
		{"percent-encoded", "a=" + escape(secret), scan.Finding{Encoding: scan.Percent, Line: 1, Column: 3, Offset: 2}},
		{"partly percent-encoded", "%%6%tos%5F" + secret[4:], scan.Finding{Encoding: scan.Percent, Line: 1, Column: 5, Offset: 4}},
		{"after a percent sign", "%de%7" + secret, scan.Finding{Line: 1, Column: 6, Offset: 5}},
		{"in Basic", "Authorization: Basic " + pair, scan.Finding{Encoding: scan.Base64, ID: id, Line: 1, Column: 22 + in, Offset: 21 + in}},
		{"in Basic, percent-encoded", "Basic " + base64.StdEncoding.EncodeToString([]byte("x:"+escape(secret))), scan.Finding{Encoding: scan.Base64, Line: 1, Column: 9, Offset: 8}},
		{"in broken base64", "a:\n" + wrap(pair, 30, "\n"), scan.Finding{Encoding: scan.Base64, ID: id, Line: 3, Column: in - 30 + 1, Offset: in + 4}},
		{"in indented base64", wrap(pair, 76, "\r\n   \t"), scan.Finding{Encoding: scan.Base64, ID: id, Line: 1, Column: in + 1, Offset: in}},
		{"in base64 in JSON in JSON", wrap(pair, 64, `\\r\\n`), scan.Finding{Encoding: scan.Base64, ID: id, Line: 1, Column: in + 1, Offset: in}},
	} {
		c.want.Kind, c.want.Redacted = scan.Secret, short(secret)
		got := scanned(t, c.text, false)
		if len(got) > 0 {
			c.want.Fingerprint = got[0].Fingerprint
		}
		if diff := cmp.Diff([]scan.Finding{c.want}, got, cmpopts.IgnoreUnexported(scan.Finding{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// Base64 is read however it is grouped, in both alphabets, with lines of any
// length.
func TestEveryGrouping(t *testing.T) {
	for before := range 7 {
		for glued := range 5 {
			for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawURLEncoding} {
				text := strings.Repeat("Q", glued) + encoding.EncodeToString([]byte(strings.Repeat("~", before)+secret+"??>"))
				for width := 1; width < 80; width += 3 {
					if got := scanned(t, wrap(text, width, "\n"), false); len(got) != 1 || got[0].Encoding != scan.Base64 {
						t.Fatalf("%d bytes before, %d characters glued, lines of %d: %d found", before, glued, width, len(got))
					}
				}
			}
		}
	}
}

// What only looks like a credential is none, and neither is one in pieces.
func TestNotFound(t *testing.T) {
	changed := []byte(secret)
	changed[20] = "xy"[changed[20]&1^1]
	if string(changed) == secret {
		changed[20] = 'z'
	}
	for _, text := range []string{
		"", "tos_", string(changed), secret[:52], secret[:30] + "\n" + secret[30:], strings.ToUpper(secret), secret[1:],
		"tos_" + strings.Repeat("0", 49), "tos_%" + secret[4:], base64.StdEncoding.EncodeToString(changed), strings.ToUpper(id), id[:34] + "_",
		base64.StdEncoding.EncodeToString([]byte(secret))[:60] + "=", strings.Repeat("key_live_", 9),
	} {
		if got := scanned(t, text, true); len(got) > 0 {
			t.Errorf("%d found in %q", len(got), text)
		}
	}
}

// A secret gets the id that is most likely its key's.
func TestWhose(t *testing.T) {
	var s, k [3]string
	for i := range s {
		s[i], k[i] = apikey.GenerateSecret().Reveal(), apikey.NewID(apikey.Test, time.Now())
	}
	far := strings.Repeat(".", 4096)
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"CSV", k[0] + "," + s[0] + "\n" + k[1] + "," + s[1] + "\n", k[:2]},
		{"secret first", s[0] + " " + k[0] + "\n" + s[1] + " " + k[1], k[:2]},
		{"blocks", "id=" + k[0] + "\nsecret=" + s[0] + "\n\nid=" + k[1] + "\nsecret=" + s[1], k[:2]},
		{"blocks with the secret first", s[0] + "\n" + k[0] + "\n\n\n" + s[1] + "\n" + k[1], k[:2]},
		{"one line of JSON", fmt.Sprintf(`[{"id":%q,"client_secret":%q},{"id":%q,"client_secret":%q}]`, k[0], s[0], k[1], s[1]), k[:2]},
		{"a rotation", k[0] + " " + s[0] + " " + s[1], []string{k[0], k[0]}},
		{"just near enough", k[0] + far + s[0], k[:1]},
		{"too far", k[0] + far + "." + s[0] + "." + far + k[1], []string{""}},
		{"in another encoding", "# " + k[0] + "\n" + base64.StdEncoding.EncodeToString([]byte(s[0])), k[:1]},
	} {
		var got []string
		for _, f := range scanned(t, c.text, false) {
			got = append(got, f.ID)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// Ids alone are found when asked for, in both environments.
func TestIDs(t *testing.T) {
	other := apikey.NewID(apikey.Test, time.Now())
	text := "key_" + id + " " + secret + "\n" + base64.StdEncoding.EncodeToString([]byte(other))
	var got []string
	for _, f := range scanned(t, text, true) {
		got = append(got, fmt.Sprintf("%s %d:%d %s %s", f.Kind, f.Line, f.Column, f.Redacted, f.ID))
	}
	want := []string{"id 1:5 " + id + " ", "secret 1:41 " + short(secret) + " " + id, "id 2:1 " + other + " "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A finding does not hold the secret, and one secret has one fingerprint.
func TestFingerprint(t *testing.T) {
	got := scanned(t, secret+"\n"+base64.StdEncoding.EncodeToString([]byte(secret))+"\n"+apikey.GenerateSecret().Reveal(), false)
	if len(got) != 3 || got[0].Fingerprint != got[1].Fingerprint || got[0].Fingerprint == got[2].Fingerprint || len(got[0].Fingerprint) != 32 {
		t.Fatalf("got %+v", got)
	}
	raw, err := json.Marshal(got)
	if err != nil || strings.Contains(fmt.Sprintf("%#v", got)+string(raw), secret[4:20]) {
		t.Error("a finding tells the secret")
	}
}

// What there is no room for is not kept, and that is said.
func TestRoom(t *testing.T) {
	for _, c := range []struct {
		room int
		full bool
	}{{2, true}, {3, false}} {
		s := scan.NewScanner(false, c.room)
		fmt.Fprintln(s, secret, secret, secret)
		if got := s.Findings(); len(got) != min(c.room, 3) || s.Full() != c.full {
			t.Errorf("room for %d: %d findings, full %t", c.room, len(got), s.Full())
		}
	}
}

// Nothing makes the scanner stumble; in whatever pieces the bytes come, it finds
// the same; and it finds a secret planted anywhere, as it is and in base64.
func FuzzScanner(f *testing.F) {
	f.Add([]byte("client_secret: "), []byte("\n"), uint8(0))
	f.Add([]byte("%7%%74os_tos_"), []byte("key_live_"), uint8(1))
	f.Add([]byte("\\\\n  \\"), []byte("\\n\r\n%"), uint8(2))
	f.Add([]byte("dG9zX3Rvc18"), []byte{0, 255}, uint8(77))
	f.Fuzz(func(t *testing.T, before, after []byte, width uint8) {
		encoded := wrap(base64.StdEncoding.EncodeToString(append(bytes.Clone(before), secret...)), int(width)+1, "\n")
		for _, planted := range []string{secret, " " + encoded} {
			text := string(before) + planted + string(after)
			whole := scanned(t, text, true)
			found := false
			for _, got := range whole {
				found = found || got.Redacted == short(secret)
			}
			if !found {
				t.Fatalf("not found in %q", strings.ReplaceAll(text, secret, "SECRET"))
			}
			pieces := scan.NewScanner(true, 100)
			if _, err := io.Copy(pieces, iotest.OneByteReader(strings.NewReader(text))); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(whole, pieces.Findings(), cmp.AllowUnexported(scan.Finding{})); diff != "" {
				t.Fatalf("in pieces (-whole +pieces):\n%s", diff)
			}
		}
	})
}

// How fast it is with source code and with base64.
func BenchmarkScanner(b *testing.B) {
	for name, text := range map[string]string{
		"code":   strings.Repeat("\tif err := s.take(b, at); err != nil { // why it is so stands above\n", 1000),
		"base64": strings.Repeat("VGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyIHRoZSBsYXp5IGRvZw", 1000),
		"binary": strings.Repeat("\x00\x01\xff\xfe\x80\x90abc", 5000),
	} {
		b.Run(name, func(b *testing.B) {
			s := scan.NewScanner(false, 1)
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				_, _ = s.Write([]byte(text))
			}
		})
	}
}
