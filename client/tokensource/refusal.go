package tokensource

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

const (
	maxDescription = 400 // bytes
	maxRetryAfter  = time.Minute
	readyTime      = 3 * time.Second
	lateBy         = assertionLife - 5*time.Second // an answer's Date is up to seconds old
)

var (
	oauthCode  = regexp.MustCompile(`^[a-z_]{1,64}$`)
	wantMethod = regexp.MustCompile(`supports client authentication method '([a-z_]{1,40})'`)
	wantAlg    = regexp.MustCompile(`enforces signing algorithm '([A-Z0-9]{1,10})'`)
)

// explain says what an error of x/oauth2 means. Its own text holds the body of
// the answer, so nothing of it is kept.
func (s *Source) explain(err error, cfg *clientcredentials.Config, asked time.Time) *Error {
	if e, ok := errors.AsType[*oauth2.RetrieveError](err); ok && e.Response != nil {
		out := s.refusal(e, asked)
		out.Status = e.Response.StatusCode
		if oauthCode.MatchString(e.ErrorCode) {
			out.Code = e.ErrorCode
			out.Description = presentable(e.ErrorDescription, sent(cfg))
		}
		return out
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		return unsent(e.Err)
	}
	return &Error{Kind: ErrAnswer, Detail: "what answers at this address is not a token endpoint", Status: http.StatusOK}
}

// refusal is for an answer that is no token.
func (s *Source) refusal(e *oauth2.RetrieveError, asked time.Time) *Error {
	status := e.Response.StatusCode
	switch {
	case status >= 300 && status < 400:
		return &Error{Kind: ErrAnswer, Detail: "the server redirects, which a token endpoint never does; check TokenURL"}
	case status == http.StatusTooManyRequests:
		return &Error{Kind: ErrUnavailable, Detail: "too many requests", RetryAfter: retryAfter(e.Response.Header)}
	case status >= 500:
		return s.broken(e, asked)
	}
	kind, ok := kinds[e.ErrorCode]
	if !ok {
		return &Error{Kind: ErrAnswer, Detail: "what answers at this address is not Hydra's token endpoint; check TokenURL"}
	}
	return kind(e.ErrorDescription)
}

// broken is for a 5xx. Hydra answers 500 with the code "error" to an assertion that
// has expired, even by a second, and to much else; its Date tells whether it is that.
func (s *Source) broken(e *oauth2.RetrieveError, asked time.Time) *Error {
	if s.config.Credential.method == methodPrivateKey && e.Response.StatusCode == http.StatusInternalServerError && e.ErrorCode == "error" {
		if date, err := http.ParseTime(e.Response.Header.Get("Date")); err == nil && date.Sub(asked) >= lateBy {
			return &Error{Kind: ErrClock, Detail: "this machine's clock is " + date.Sub(asked).Round(time.Second).String() +
				" behind Hydra's, which makes every assertion an expired one; set the clock"}
		}
	}
	return &Error{Kind: ErrUnavailable, Detail: "Hydra or a proxy before it failed", RetryAfter: retryAfter(e.Response.Header), passing: true}
}

// kinds are the codes with which Hydra refuses (RFC 6749 section 5.2 and its own),
// each with what it means by the description that goes with it.
var kinds = map[string]func(description string) *Error{
	"invalid_client":      client,
	"invalid_request":     request,
	"invalid_scope":       always(ErrScope, "the key may not have one of the scopes asked for; see its scopes"),
	"unauthorized_client": always(ErrDisabled, "the credential is right, but the key is disabled or expired"),
	"access_denied":       always(ErrDisabled, "the credential is right, but the key is refused: it is disabled, expired or ended by a rotation"),
	"invalid_grant":       always(ErrRefused, "this client may not buy tokens in this way"),
	"jti_known":           always(ErrRefused, "the assertion was used before: something on the way sends requests twice"),
}

func always(kind Kind, detail string) func(string) *Error {
	return func(string) *Error { return &Error{Kind: kind, Detail: detail} }
}

// client says what Hydra's 401 means.
func client(description string) *Error {
	if m := wantMethod.FindStringSubmatch(description); m != nil {
		e := &Error{Kind: ErrMethod, Detail: "the key authenticates in another way"}
		if slices.Contains([]string{methodBasic, methodPost, methodPrivateKey}, m[1]) {
			e.Detail, e.Want = "the key authenticates by "+m[1], m[1]
		}
		return e
	}
	if m := wantAlg.FindStringSubmatch(description); m != nil {
		return &Error{Kind: ErrAlgorithm, Detail: "the key's public keys are registered for " + m[1] + "; set PrivateKey.Algorithm or use another private key", Want: m[1]}
	}
	if strings.Contains(description, "Claim 'audience' from 'client_assertion'") {
		return &Error{Kind: ErrTokenURL, Detail: "Hydra knows its token endpoint by another URL: set AssertionAudience to it"}
	}
	return &Error{Kind: ErrCredential, Detail: "there is no such key, its credential is another one, or it is revoked"}
}

// request says what Hydra's 400 invalid_request means.
func request(description string) *Error {
	switch {
	case strings.Contains(description, "has not been whitelisted"):
		return &Error{Kind: ErrAudience, Detail: "the key may not have one of the audiences asked for; see its audiences"}
	case strings.Contains(description, "could not be found") && strings.Contains(description, "kid"):
		return &Error{Kind: ErrPublicKey, Detail: "the key has no public key that goes with this private key: add it, or set PrivateKey.KID"}
	}
	return &Error{Kind: ErrRefused, Detail: "Hydra does not understand the request"}
}

// presentable is what may be shown of a description: printable, short, and
// nothing that holds what was sent as credential.
func presentable(description string, hidden []string) string {
	printable := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, description)
	for _, h := range hidden { // after what is left out, which may have stood between its parts
		if h != "" && strings.Contains(printable, h) {
			return ""
		}
	}
	return printable[:min(len(printable), maxDescription)]
}

// retryAfter reads the header's seconds, at most a minute.
func retryAfter(h http.Header) time.Duration {
	n, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || n < 0 {
		return 0
	}
	return min(time.Duration(min(n, 3600))*time.Second, maxRetryAfter)
}

// readiness is what Hydra says of itself.
type readiness int

const (
	ready readiness = iota
	notReady
	readyUnknown // nobody can be asked
)

// ready asks whether Hydra can work, which needs its database.
func (s *Source) ready(ctx context.Context) readiness {
	if s.config.ReadyURL == "" {
		return readyUnknown
	}
	ctx, cancel := context.WithTimeout(ctx, min(readyTime, s.config.Timeout/attemptShare))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.config.ReadyURL, nil)
	if err != nil {
		return readyUnknown
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return notReady
	}
	defer resp.Body.Close()
	var said struct {
		Status string `json:"status"`
	}
	err = json.NewDecoder(resp.Body).Decode(&said)
	switch {
	case resp.StatusCode == http.StatusOK && err == nil && said.Status == "ok":
		return ready
	case resp.StatusCode >= 500:
		return notReady
	}
	return readyUnknown // a proxy before Hydra that does not let the question through
}
