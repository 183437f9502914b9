package web

import (
	"net/http"
	"strconv"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// maxVerificationLooks bounds how often a page asks by itself how far a
// verification has come: for a little longer than one may take.
const maxVerificationLooks = 700

// verificationView is the card that verifies the record of events.
type verificationView struct {
	may   bool // the person may verify, and see what was found
	found apikey.Verification
	look  int // how often the page has looked
	now   time.Time
}

// again reports whether the page looks again by itself. Behind one address there
// may be several servers, of which another has begun it than the one that was asked
// now.
func (v verificationView) again() bool {
	waits := v.found.State == apikey.VerificationRunning || v.found.State == apikey.VerificationNone && v.look > 0
	return waits && v.look < maxVerificationLooks
}

// next is where the page looks next, and when: soon at first, because most records
// are short.
func (v verificationView) next() string { return verificationPath + "?look=" + strconv.Itoa(v.look+1) }

func (v verificationView) trigger() string {
	if v.look < 5 {
		return "load delay:1s"
	}
	return "load delay:3s"
}

// command checks the record at the database, against the head that was found.
func (v verificationView) command() string {
	if v.found.Head != "" {
		return "tokenos audit verify --head " + v.found.Head
	}
	return "tokenos audit verify --head ID:MAC"
}

// most is the end of the progress: events are added meanwhile.
func (v verificationView) most() int64 { return max(v.found.Total, v.found.Checked, 1) }

// eventsFrom is the address of the activity from an event backwards.
func eventsFrom(id int64) string {
	return activityQuery{before: strconv.FormatInt(id+1, 10)}.url()
}

// verificationOf is what the server last found, for whoever may see it.
func (d *Dashboard) verificationOf(r *http.Request) (verificationView, error) {
	v := verificationView{may: mayDiagnose(exchangeFrom(r.Context()).person), now: d.Now()}
	if !v.may {
		return v, nil
	}
	var err error
	v.found, err = d.API.Verification(r.Context())
	return v, err
}

// verification shows how far a verification has come: as a page of its own, or as
// the part that looks for itself.
func (d *Dashboard) verification(w http.ResponseWriter, r *http.Request) error {
	found, err := d.API.Verification(r.Context())
	if err != nil {
		return err
	}
	v := verificationView{may: true, found: found, now: d.Now()}
	if n, err := strconv.Atoi(r.URL.Query().Get("look")); err == nil && partial(r) {
		v.look = min(max(n, 0), maxVerificationLooks)
	}
	return d.show(w, r, frame{title: "Verification", section: "activity"}, verificationPage(v), verificationState(v))
}

// verify begins a verification, or joins the one under way.
func (d *Dashboard) verify(w http.ResponseWriter, r *http.Request) error {
	found, err := d.API.VerifyEvents(r.Context())
	if err != nil {
		return err
	}
	if !partial(r) {
		return d.goTo(w, r, verificationPath)
	}
	return d.show(w, r, frame{}, nil, verificationState(verificationView{may: true, found: found, now: d.Now()}))
}
