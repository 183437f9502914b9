package web

import "github.com/tokenos/tokenos/apikey"

// keyRoutes are the pages of one key, and what is done to several.
func (d *Dashboard) keyRoutes() []route {
	const at = "/keys/{id}"
	out := []route{
		{at: "POST " + bulkPath, right: apikey.KeysWrite, do: d.disableSeveral},
		{at: "GET " + at, right: apikey.KeysRead, do: d.key},
		{at: "GET " + at + "/edit", right: apikey.KeysWrite, do: d.editKey},
		{at: "POST " + at + "/edit", right: apikey.KeysWrite, do: d.saveKey},
		{at: "POST " + at + "/public-keys", right: apikey.KeysWrite, do: d.addPublicKey},
		{at: "GET " + at + "/public-keys/{kid}/remove", right: apikey.KeysWrite, do: d.removePublicKey},
		{at: "POST " + at + "/public-keys/{kid}/remove", right: apikey.KeysWrite, do: d.removePublicKey},
	}
	for _, a := range keyActions {
		out = append(out, route{at: "GET " + at + "/" + a.id, right: apikey.KeysWrite, do: d.askAction(a)},
			route{at: "POST " + at + "/" + a.id, right: apikey.KeysWrite, do: d.doAction(a)})
	}
	return out
}
