package web

import (
	"errors"
	"net/http"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// briefChecks is how many findings the overview tells.
const briefChecks = 4

// briefPath is where the overview asks for the findings.
const briefPath = checksPath + "?brief"

// diagnosisView is what doctor found.
type diagnosisView struct {
	apikey.Diagnosis
	later bool // it takes longer than we wait
	now   time.Time
}

// mayDiagnose reports whether the person may see what doctor finds and which keys
// sign, as [apikey.API] has it.
func mayDiagnose(p *Person) bool { return p.May(apikey.Admin) && len(p.Owners) == 0 }

// diagnose shows doctor's findings: as a page of their own, or as the part that
// the settings or the overview ask for once they are shown, because the checks
// take their time.
func (d *Dashboard) diagnose(w http.ResponseWriter, r *http.Request) error {
	found, err := d.API.Doctor(r.Context())
	v := diagnosisView{found, errors.Is(err, apikey.ErrUnavailable), d.Now()}
	if err != nil && !(v.later && partial(r)) {
		return err
	}
	part := diagnosisPart(v)
	if r.URL.Query().Has("brief") {
		part = diagnosisBrief(v)
	}
	return d.show(w, r, frame{title: "Checks", section: "settings"}, diagnosisPage(v), part)
}
