package hydratest

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"
)

// strike does to a request what the fault says.
func (p *Proxy) strike(f Fault, w http.ResponseWriter, r *http.Request) {
	var rec *httptest.ResponseRecorder
	if f.kind == delay && !p.wait(f.wait, nil) {
		panic(http.ErrAbortHandler)
	}
	if f.after || f.kind == delay {
		rec = p.work(r)
	}
	switch f.kind {
	case reset:
		cut(w, true)
	case dropAnswer:
		cut(w, false)
	case delay:
		replay(w, rec)
	case delayAnswer:
		p.wait(f.wait, r.Context().Done())
		replay(w, rec)
	case answer:
		f.answer(w)
	case slowDrip:
		p.drip(w, r, rec, f.wait)
	case hang:
		select {
		case <-r.Context().Done():
		case <-p.quit:
		}
		panic(http.ErrAbortHandler)
	}
}

// wait pauses for d and reports whether it did so to the end: the test's end and
// stop (which may be nil) cut it short.
func (p *Proxy) wait(d time.Duration, stop <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-stop:
	case <-p.quit:
	}
	return false
}

// cut ends the connection without a response, by a TCP reset or in good order.
func cut(w http.ResponseWriter, hard bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok && hard {
		_ = tcp.SetLinger(0) // close then sends a reset
	}
	_ = conn.Close()
}

// answer writes the fault's own answer.
func (f Fault) answer(w http.ResponseWriter) {
	w.Header().Set("Content-Type", f.mediaType)
	if f.wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(f.wait/time.Second)))
	}
	w.WriteHeader(f.status)
	_, _ = w.Write(f.body) // the caller may have left
}

// replay writes Hydra's answer.
func replay(w http.ResponseWriter, rec *httptest.ResponseRecorder) {
	head(w, rec)
	_, _ = w.Write(rec.Body.Bytes()) // the caller may have left
}

// head writes the head of Hydra's answer.
func head(w http.ResponseWriter, rec *httptest.ResponseRecorder) {
	for name, values := range rec.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(rec.Code)
}

// drip writes Hydra's answer byte by byte.
func (p *Proxy) drip(w http.ResponseWriter, r *http.Request, rec *httptest.ResponseRecorder, pause time.Duration) {
	if rec.Body.Len() > 0 {
		rec.Header().Set("Content-Length", strconv.Itoa(rec.Body.Len()))
	}
	head(w, rec)
	out := http.NewResponseController(w)
	for _, b := range rec.Body.Bytes() {
		if out.Flush() != nil || !p.wait(pause, r.Context().Done()) {
			panic(http.ErrAbortHandler)
		}
		if _, err := w.Write([]byte{b}); err != nil {
			panic(http.ErrAbortHandler)
		}
	}
}
