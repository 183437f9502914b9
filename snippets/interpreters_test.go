package snippets_test

import (
	"testing"

	"github.com/tokenos/tokenos/internal/runtest"
	"github.com/tokenos/tokenos/snippets"
)

// runner runs the snippets of one language.
type runner struct {
	runtest.Interpreter
	lang snippets.Language
	file string // what the text is saved as
}

// newRunner finds what runs the snippets of lang, or leaves the test out.
func newRunner(t *testing.T, lang snippets.Language, method string) runner {
	t.Helper()
	what, private := "the "+string(lang)+" snippets", method == "private_key_jwt"
	r := runner{lang: lang}
	switch lang {
	case snippets.Go:
		r.file, r.Command, r.Dir = "main.go", []string{"go", "run"}, runtest.Path() // where go.mod names the libraries
	case snippets.JavaScript:
		r.file, r.Interpreter = "buy-token.mjs", runtest.Node(t, what)
		if private {
			r.Interpreter = runtest.Node(t, what, "openid-client")
		}
	case snippets.Python:
		r.file, r.Interpreter = "buy_token.py", runtest.Python(t, what, "python3")
		if private {
			r.Interpreter = runtest.Python(t, what, "python3-authlib", "authlib.jose")
		}
	case snippets.Curl:
		runtest.Tool(t, what, "curl")
		r.file, r.Command = "buy-token.sh", []string{runtest.Tool(t, what, "sh")}
		if private {
			runtest.Tool(t, what, "openssl")
			r.file, r.Command = "buy-token.bash", []string{runtest.Tool(t, what, "bash"), "-e"} // stop at the first command that fails
		}
	}
	return r
}

func (r runner) run(t *testing.T, text string, env ...string) (stdout, stderr string, err error) {
	t.Helper()
	return r.Run(t, map[string]string{r.file: text}, r.file, env...)
}
