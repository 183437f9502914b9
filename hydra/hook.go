package hydra

import (
	"context"
	"net/http"

	"github.com/go-json-experiment/json"

	"github.com/tokenos/tokenos/apikey"
)

// Hook is Hydra's token hook in Hydra's words: what it sends before it issues a
// token, and what it makes of the answer.
//
//	200 with claims   the token is issued with them
//	204               the token is issued as it is: not one of ours
//	403               Hydra refuses with 403 access_denied; the reason is lost
//	400               Hydra fails at once with 500: it cannot be decided now
//
// Nothing else is ever answered: to a 5xx Hydra makes the caller wait for
// seconds, and everything else is a 500 as well.
type Hook struct {
	// Decide is [apikey.Service.Decide]. Required.
	Decide func(context.Context, apikey.TokenRequest) apikey.Decision
}

// hookRequest are the only members of Hydra's request that count. There is also
// request.payload, the form that the caller sent: its client_id is whatever the
// caller wrote, and no proof of anything.
type hookRequest struct {
	Request *struct {
		ClientID  string   `json:"client_id"`
		Requested []string `json:"requested_scopes"`
		Granted   []string `json:"granted_scopes"`
	} `json:"request"`
}

// hookAnswer puts the claims into the access token: at the top level of a JWT
// those that oauth2.allowed_top_level_claims names, in introspection all under
// ext.
type hookAnswer struct {
	Session struct {
		AccessToken apikey.Claims `json:"access_token"`
	} `json:"session"`
}

// Answer reads Hydra's request and says what to answer. A name twice, a name in
// another case, another type and text behind the end are no request of Hydra's.
func (h Hook) Answer(ctx context.Context, body []byte) (status int, answer []byte) {
	var q hookRequest
	if err := json.Unmarshal(body, &q); err != nil || q.Request == nil || q.Request.ClientID == "" {
		return http.StatusBadRequest, nil
	}
	d := h.Decide(ctx, apikey.TokenRequest{ClientID: q.Request.ClientID, Requested: q.Request.Requested, Granted: q.Request.Granted})
	switch d.Verdict {
	case apikey.Allowed:
		var a hookAnswer
		a.Session.AccessToken = d.Claims
		out, err := json.Marshal(a)
		if err != nil {
			return http.StatusBadRequest, nil
		}
		return http.StatusOK, out
	case apikey.Foreign:
		return http.StatusNoContent, nil
	case apikey.Refused:
		return http.StatusForbidden, nil
	}
	return http.StatusBadRequest, nil
}
