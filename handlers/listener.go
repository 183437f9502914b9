package handlers

import (
	"crypto/tls"
	"net"
	"sync"
	"time"
)

const (
	// decideWithin is how long a new connection may stay silent.
	decideWithin = 5 * time.Second
	// maxUndecided bounds the silent connections; one more closes the oldest.
	maxUndecided = 512
	// handshakeRecord begins every TLS connection (RFC 8446 section 5.1).
	handshakeRecord = 0x16
)

// Listener accepts TLS and plain connections on one port. It looks at the
// first byte of each: a TLS handshake becomes a *tls.Conn, so that net/http
// sees TLS and offers HTTP/2; anything else stays plain, and the handler
// refuses it in its own words with 403 https_required, where net/http alone
// would answer plain text. Accept never waits for a silent connection. config
// must be able to present a certificate; without NextProtos it offers h2 and
// http/1.1.
func Listener(inner net.Listener, config *tls.Config) net.Listener {
	config = config.Clone()
	if len(config.NextProtos) == 0 {
		config.NextProtos = []string{"h2", "http/1.1"}
	}
	l := &listener{Listener: inner, config: config, decided: make(chan net.Conn), closed: make(chan struct{}), within: decideWithin, most: maxUndecided}
	go l.run()
	return l
}

type listener struct {
	net.Listener
	config  *tls.Config
	decided chan net.Conn
	within  time.Duration
	most    int

	mu        sync.Mutex
	undecided []net.Conn // oldest first

	once   sync.Once
	closed chan struct{}
	err    error // why run ended; read after closed
}

// run accepts until the inner listener fails for good.
func (l *listener) run() {
	var pause time.Duration
	for {
		c, err := l.Listener.Accept()
		if err == nil {
			pause = 0
			l.hold(c)
			go l.decide(c)
			continue
		}
		if t, ok := err.(interface{ Temporary() bool }); !ok || !t.Temporary() {
			l.end(err)
			return
		}
		// Out of file descriptors, say: as net/http does, try again shortly.
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		select {
		case <-time.After(pause):
		case <-l.closed:
			return
		}
	}
}

// hold counts c as undecided. When there are too many the oldest goes: a flood
// of silent connections then pushes itself out, not those who speak.
func (l *listener) hold(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.undecided) >= l.most {
		_ = l.undecided[0].Close()
		l.undecided = l.undecided[1:]
	}
	l.undecided = append(l.undecided, c)
}

func (l *listener) letGo(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, u := range l.undecided {
		if u == c {
			l.undecided = append(l.undecided[:i:i], l.undecided[i+1:]...)
			return
		}
	}
}

// decide reads one byte and hands the connection on.
func (l *listener) decide(c net.Conn) {
	first := make([]byte, 1)
	_ = c.SetReadDeadline(time.Now().Add(l.within)) // fails only on a closed connection, as Read will
	n, err := c.Read(first)
	l.letGo(c)
	if n == 0 || err != nil {
		_ = c.Close()
		return
	}
	_ = c.SetReadDeadline(time.Time{})
	var out net.Conn = &peeked{Conn: c, first: first}
	if first[0] == handshakeRecord {
		out = tls.Server(out, l.config)
	}
	select {
	case l.decided <- out:
	case <-l.closed:
		_ = c.Close()
	}
}

// Accept returns the next connection that has said what it is.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.decided:
		return c, nil
	case <-l.closed:
		return nil, l.err
	}
}

// Close closes the inner listener and every connection not yet decided.
func (l *listener) Close() error {
	err := l.Listener.Close()
	l.end(net.ErrClosed)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.undecided {
		_ = c.Close()
	}
	l.undecided = nil
	return err
}

func (l *listener) end(err error) {
	l.once.Do(func() {
		l.err = err
		close(l.closed)
	})
}

// peeked gives back the byte that was looked at.
type peeked struct {
	net.Conn
	first []byte
}

func (p *peeked) Read(b []byte) (int, error) {
	if len(p.first) > 0 && len(b) > 0 {
		n := copy(b, p.first)
		p.first = p.first[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}
