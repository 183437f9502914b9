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

// briefFor is how long a diagnosis serves the overview, which is opened far more
// often than it has news: the checks make and remove clients in Hydra.
const briefFor = 10 * time.Minute

// diagnosisView is what doctor found.
type diagnosisView struct {
	apikey.Diagnosis
	later bool // it takes longer than we wait
	now   time.Time
}

// mayDiagnose reports whether the person may see what doctor finds, which keys sign
// and whether the record is as it was written, as [apikey.API] has it.
func mayDiagnose(p *Person) bool { return p.May(apikey.Admin) && len(p.Owners) == 0 }

// diagnose shows doctor's findings: as a page of their own, or as the part that
// the settings or the overview ask for once they are shown, because the checks
// take their time.
func (d *Dashboard) diagnose(w http.ResponseWriter, r *http.Request) error {
	brief := r.URL.Query().Has("brief")
	found, err := d.findings(r, brief)
	v := diagnosisView{found, errors.Is(err, apikey.ErrUnavailable), d.Now()}
	if err != nil && !(v.later && partial(r)) {
		return err
	}
	part := diagnosisPart(v)
	if brief {
		part = diagnosisBrief(v)
	}
	return d.show(w, r, frame{title: "Checks", section: "settings"}, diagnosisPage(v), part)
}

// findings are doctor's of now, or for the overview those of a short while ago.
func (d *Dashboard) findings(r *http.Request, brief bool) (apikey.Diagnosis, error) {
	if last := d.diagnosis.Load(); brief && last != nil && mayDiagnose(exchangeFrom(r.Context()).person) {
		if age := d.Now().Sub(last.CheckedAt); age >= 0 && age < briefFor {
			return *last, nil
		}
	}
	found, err := d.API.Doctor(r.Context())
	if err == nil {
		d.diagnosis.Store(&found)
	}
	return found, err
}
