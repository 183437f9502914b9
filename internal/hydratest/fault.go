package hydratest

import (
	"net/http"
	"strings"
	"time"
)

// Fault is what a [Proxy] does to matching requests instead of passing them on.
// Make one with a function below, narrow it with its methods, and give it to
// [Proxy.Inject]:
//
//	proxy.Inject(hydratest.DropAnswer().On("PUT", "/admin/clients").Times(1))
//
// As made, it strikes every request until it is removed.
type Fault struct {
	kind         kind
	method, path string        // empty matches all
	times        int           // 0 means without end
	chance       float64       // 0 means always
	after        bool          // Hydra does the work first
	wait         time.Duration // of Delay, DelayAnswer; between bytes of SlowDrip; Retry-After
	status       int
	mediaType    string
	body         []byte
}

type kind int

const (
	reset kind = iota
	delay
	delayAnswer
	dropAnswer
	answer
	slowDrip
	hang
)

// Reset ends the connection by a TCP reset; Hydra does not see the request.
func Reset() Fault { return Fault{kind: reset} }

// Delay keeps the request for d and then passes it on, even if the caller has
// given up meanwhile: the network may deliver late what nobody waits for.
func Delay(d time.Duration) Fault { return Fault{kind: delay, wait: d} }

// DelayAnswer lets Hydra do the work at once and keeps its answer for d.
func DelayAnswer(d time.Duration) Fault {
	return Fault{kind: delayAnswer, wait: d, after: true}
}

// DropAnswer lets Hydra do the work and closes the connection without a response.
func DropAnswer() Fault { return Fault{kind: dropAnswer, after: true} }

// StatusBefore answers code with an error of OAuth's shape; Hydra does not see the
// request. A retryAfter above zero is sent as Retry-After, in whole seconds.
func StatusBefore(code int, retryAfter time.Duration) Fault {
	return Fault{kind: answer, status: code, wait: retryAfter, mediaType: "application/json",
		body: []byte(`{"error":"injected","error_description":"a fault of the test"}`)}
}

// StatusAfter lets Hydra do the work and answers code in place of its answer.
func StatusAfter(code int) Fault {
	f := StatusBefore(code, 0)
	f.after = true
	return f
}

// GarbageHTML answers 200 with a page, as a wrong proxy does.
func GarbageHTML() Fault {
	return Fault{kind: answer, status: http.StatusOK, mediaType: "text/html; charset=utf-8",
		body: []byte("<!doctype html><title>Welcome</title><p>It works!")}
}

// GarbageJSON answers 200 with JSON that breaks off.
func GarbageJSON() Fault {
	return Fault{kind: answer, status: http.StatusOK, mediaType: "application/json",
		body: []byte(`{"client_id":"half`)}
}

// hugeSize is the size of a huge answer, in bytes.
const hugeSize = 10 << 20

// GarbageHuge answers 200 with 10 MB of good JSON.
func GarbageHuge() Fault {
	return Fault{kind: answer, status: http.StatusOK, mediaType: "application/json",
		body: []byte(`{"padding":"` + strings.Repeat("x", hugeSize-14) + `"}`)}
}

// SlowDrip lets Hydra do the work and sends its answer byte by byte with a pause
// before each.
func SlowDrip(pause time.Duration) Fault {
	return Fault{kind: slowDrip, wait: pause, after: true}
}

// Hang says nothing until the caller gives up; Hydra does not see the request.
func Hang() Fault { return Fault{kind: hang} }

// On narrows the fault to a method and to paths that begin with pathPrefix; an
// empty one matches all.
func (f Fault) On(method, pathPrefix string) Fault {
	f.method, f.path = method, pathPrefix
	return f
}

// Times ends the fault after it has struck n times.
func (f Fault) Times(n int) Fault {
	f.times = n
	return f
}

// Chance makes the fault strike a matching request with probability p, above 0
// and up to 1, by the proxy's seeded source ([Proxy.Seed]).
func (f Fault) Chance(p float64) Fault {
	f.chance = p
	return f
}

// AfterWork lets Hydra do the work before the fault strikes. It is for [Reset],
// [Hang] and the garbage.
func (f Fault) AfterWork() Fault {
	f.after = true
	return f
}

// matches reports whether the fault is meant for the request.
func (f Fault) matches(r *http.Request) bool {
	return (f.method == "" || f.method == r.Method) && strings.HasPrefix(r.URL.Path, f.path)
}
