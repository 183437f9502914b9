package hydra

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/failsafe-go/failsafe-go/bulkhead"

	"github.com/tokenos/tokenos/apikey"
)

// Hydra's own words, the same in v2.3.0, v26.2.0 and master of 2026-07.
const (
	saysUnknown = "Unable to locate the resource"
	saysTaken   = "Unable to insert or update resource because a resource with that value exists already"
	// saysConflict comes with 400 from newer Hydras: two transactions met and
	// this one was rolled back.
	saysConflict = "Unable to serialize access due to a concurrent update"
)

// retryIn is what callers of ours are told to wait.
const retryIn = 2 * time.Second

const maxWords = 300 // characters of each of Hydra's words that go into an error

// explain turns the end of a call into nil or an error of apikey's kinds. The
// rule: [apikey.ErrNotSent] only if Hydra surely did not do it. No connection
// was made, or each attempt was answered with a refusal. Everything else that
// is not a success is [apikey.ErrOutcomeUnknown].
func explain(c *call, resp *http.Response, err error) error {
	if err == nil {
		return nil
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err // without the URL, which is the operator's business
	}
	if resp == nil || resp.StatusCode < 400 || resp.StatusCode >= 500 {
		if resp != nil {
			err = describe(c, resp, err)
		}
		return failure(c, apikey.ErrUnavailable, err)
	}
	said := answerOf(resp)
	switch {
	case resp.StatusCode == http.StatusNotFound && said.Error == saysUnknown:
		return fmt.Errorf("hydra: %s %q: %w", c.operation, c.id, apikey.ErrNotFound)
	case resp.StatusCode == http.StatusConflict && said.Error == saysTaken:
		return fmt.Errorf("hydra: %s %q: %w", c.operation, c.id, apikey.ErrClientExists)
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusRequestTimeout, said.Error == saysConflict:
		return failure(c, apikey.ErrUnavailable, describe(c, resp, err))
	}
	return failure(c, apikey.ErrInternal, describe(c, resp, err))
}

// failure wraps the cause with what is known of the outcome. A call that was
// answered 2xx by something that is not Hydra is as uncertain as a lost answer.
func failure(c *call, kind apikey.ErrorKind, cause error) error {
	outcome := apikey.ErrNotSent
	if c.uncertain || c.status >= 200 && c.status < 300 {
		outcome = apikey.ErrOutcomeUnknown
	}
	e := &apikey.Error{Kind: kind, Cause: fmt.Errorf("hydra: %s %q: %w: %w", c.operation, c.id, outcome, cause)}
	if kind == apikey.ErrUnavailable {
		e.RetryAfter = retryIn
	}
	return e
}

// isAnswer reports whether the error is an ordinary answer of a working Hydra.
func isAnswer(err error) bool {
	return errors.Is(err, apikey.ErrNotFound) || errors.Is(err, apikey.ErrClientExists)
}

// crowded reports whether the call was not made because too many are under way.
func crowded(err error) bool { return errors.Is(err, bulkhead.ErrFull) }

// answer is Hydra's error answer (RFC 6749 section 5.2).
type answer struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

// answerOf reads the error answer; zero if it is not one of Hydra's.
func answerOf(resp *http.Response) answer {
	var a answer
	body, err := bodyOf(resp)
	if err != nil || !isJSON(resp.Header) || json.Unmarshal(body, &a) != nil {
		return answer{}
	}
	return a
}

// bodyOf reads the body, which transport has bounded, and puts it back.
func bodyOf(resp *http.Response) ([]byte, error) {
	body, err := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return body, err
}

// describe names the status and what Hydra says of it. Of a body only the two
// members of an error answer are used, and of a success nothing but why it
// does not count, because it may hold a client secret.
func describe(c *call, resp *http.Response, err error) error {
	if resp.StatusCode < 300 {
		if own := (*strange)(nil); errors.As(err, &own) {
			return fmt.Errorf("answer %d is not hydra's: %w", resp.StatusCode, own)
		}
		return fmt.Errorf("answer %d is unreadable", resp.StatusCode)
	}
	a := answerOf(resp)
	if a == (answer{}) {
		return fmt.Errorf("answer %d", resp.StatusCode)
	}
	if !c.secret.IsZero() {
		a.Error = strings.ReplaceAll(a.Error, c.secret.Reveal(), c.secret.String())
		a.Description = strings.ReplaceAll(a.Description, c.secret.Reveal(), c.secret.String())
	}
	return fmt.Errorf("answer %d: %s: %s", resp.StatusCode, plain(a.Error), plain(a.Description))
}

// strange says why an answer that means success does not count.
type strange struct{ why string }

func (s *strange) Error() string { return s.why }

// plain makes foreign text fit for one line of a log.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	// The hint stands at the end of Hydra's descriptions.
	if r := []rune(s); len(r) > maxWords {
		return "..." + string(r[len(r)-maxWords:])
	}
	return s
}
