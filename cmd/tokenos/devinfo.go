package main

import (
	"encoding/json"
	"text/template"
)

// devInfo is what `tokenos dev -o json` prints once ready, in one line.
type devInfo struct {
	APIURL                 string `json:"api_url"`
	TokenURL               string `json:"token_url"`
	HydraPublicURL         string `json:"hydra_public_url"`
	HydraAdminURL          string `json:"hydra_admin_url"`
	ManagementClientID     string `json:"management_client_id"`
	ManagementClientSecret string `json:"management_client_secret"`
	ManagementToken        string `json:"management_token"` // works for 24 hours
	DashboardURL           string `json:"dashboard_url"`    // signs in once
	PID                    int    `json:"pid"`
	HydraPID               int    `json:"hydra_pid"` // of the first Hydra; a dead one is replaced
}

// print writes what a person, or a script, needs.
func (d *devStack) print(i devInfo) error {
	if d.options.output == "json" {
		return json.NewEncoder(d.stdout).Encode(i)
	}
	kept := "Data in " + d.folder.path + "; it survives a restart."
	if d.options.memory {
		kept = "Nothing is kept (--memory)."
	}
	return devText.Execute(d.stdout, struct {
		devInfo
		Kept string
	}{i, kept})
}

// devText is for people. Ids and secrets need no quoting and no URL-encoding:
// they are letters, digits and underscores.
var devText = template.Must(template.New("dev").Parse(`TokenOS keys, for development on this machine. Ctrl-C stops everything.

  Dashboard         {{.DashboardURL}}  (signs you in once, within 15 minutes)
  REST API          {{.APIURL}}/v1  (OpenAPI: {{.APIURL}}/openapi.json)
  Hydra token URL   {{.TokenURL}}
  Hydra admin URL   {{.HydraAdminURL}}
  management token  {{.ManagementToken}}  (24 hours)
  management key    {{.ManagementClientID}}  {{.ManagementClientSecret}}
  {{.Kept}}

For the command line, in another terminal:

export TOKENOS_SERVER={{.APIURL}} TOKENOS_TOKEN={{.ManagementToken}}

Make a key, buy a token with it at Hydra, look at the token. Paste line by line:

KEY=$(curl -sS {{.APIURL}}/v1/keys -H 'Authorization: Bearer {{.ManagementToken}}' -H 'Content-Type: application/json' -d '{"name":"my first key","owner":"acme","scopes":["orders:read"],"audiences":["https://api.example.com"]}'); echo "$KEY"

ANSWER=$(curl -sS {{.TokenURL}} -u "$(echo "$KEY" | sed -E 's/.*"id":"([^"]+)".*"client_secret":"([^"]+)".*/\1:\2/')" -d grant_type=client_credentials -d scope=orders:read -d audience=https://api.example.com); echo "$ANSWER"

TOKEN=$(echo "$ANSWER" | sed -E 's/.*"access_token":"([^"]+)".*/\1/'); curl -sS {{.HydraAdminURL}}/admin/oauth2/introspect -d "token=$TOKEN"

`))
