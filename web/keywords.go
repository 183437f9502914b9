package web

import (
	"net/url"
	"strings"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/web/ui"
)

// keyPath is where a key's page is. An id holds no character that a path gives a
// meaning; it is escaped all the same.
func keyPath(id string) string { return keysPath + "/" + url.PathEscape(id) }

// firstPage is the address of a list's beginning, "" if that is where we are.
func firstPage(q keysQuery) string {
	if q.cursor == "" {
		return ""
	}
	return q.from(func(*keysQuery) {})
}

// flagTone and flagName are a flag for people.
func flagTone(f apikey.Flag) ui.Tone {
	switch f {
	case apikey.FlagExpiring, apikey.FlagChanging, apikey.FlagDisabling, apikey.FlagRevoking:
		return ui.ToneWarn
	case apikey.FlagNoCredential, apikey.FlagDrifted, apikey.FlagCredentialUnknown, apikey.FlagUnconfirmed:
		return ui.ToneBad
	}
	return ui.ToneInfo
}

func flagName(f apikey.Flag) string { return strings.ReplaceAll(string(f), "_", " ") }
