package crashtest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// lossy stands before a Postgres. While it is on, it breaks the connection at
// some commits: before Postgres has it, or after, so that nobody hears that it
// was done.
type lossy struct {
	at      string // of Postgres
	on      atomic.Bool
	answers atomic.Int64 // lost
	commits atomic.Int64 // lost

	mu   sync.Mutex
	rand *rand.Rand
}

// commit is how a program asks for one (message Query of Postgres's protocol).
var commit = []byte("commit\x00")

// newLossy listens for as long as the test. It returns the database's URL through
// itself.
func newLossy(t *testing.T, database string, r *rand.Rand) (*lossy, string) {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x := &lossy{at: u.Host, rand: r}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				wg.Go(func() { x.serve(c) })
			}
		}
	})
	t.Cleanup(func() { // the program has ended, and its connections with it
		l.Close()
		wg.Wait()
	})
	u.Host = l.Addr().String()
	return x, u.String()
}

func (x *lossy) serve(program net.Conn) {
	postgres, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(context.Background(), "tcp", x.at)
	if err != nil {
		_ = program.Close()
		return
	}
	var mute atomic.Bool // the next answer is lost
	var both sync.WaitGroup
	both.Go(func() {
		pass(program, postgres, func([]byte) bool { return !mute.Load() })
	})
	both.Go(func() {
		pass(postgres, program, func(b []byte) bool {
			if !x.on.Load() || !bytes.Contains(b, commit) {
				return true
			}
			switch x.choose() {
			case 0:
				x.commits.Add(1)
				return false
			case 1, 2:
				x.answers.Add(1)
				mute.Store(true)
			}
			return true
		})
	})
	both.Wait()
}

// pass hands on what may pass, until something may not or either side ends; then
// both end.
func pass(to, from net.Conn, may func([]byte) bool) {
	defer func() {
		_ = to.Close()
		_ = from.Close()
	}()
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		if err != nil || !may(b[:n]) {
			return
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

func (x *lossy) choose() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.rand.IntN(4)
}
