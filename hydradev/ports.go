package hydradev

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Free ports are taken below the range from which the operating systems give
// ports to outgoing connections (32768 up on Linux, 49152 up elsewhere), so that
// a stopped server finds its port still free when it comes back.
const (
	firstPort = 20000
	lastPort  = 32767
)

// FreePort returns a loopback TCP port that nobody listens on now. Somebody else
// may take it before the caller does.
func FreePort() (int, error) {
	var err error
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		if err = tryPort(port); err == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("hydradev: find a free port between %d and %d: %w", firstPort, lastPort, err)
}

// tryPort reports why port cannot be listened on, if so.
func tryPort(port int) error {
	l, err := net.Listen("tcp", address(port))
	if err != nil {
		if e := (*net.OpError)(nil); errors.As(err, &e) {
			return e.Err
		}
		return err
	}
	return l.Close()
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// ports are where one Hydra listens on loopback.
type ports struct{ public, admin int }

// choosePorts keeps the fixed ports, once they are seen to be free, and finds
// others for those that are 0.
func choosePorts(public, admin int) (ports, error) {
	p := ports{public: public, admin: admin}
	for what, port := range map[string]*int{"public": &p.public, "admin": &p.admin} {
		if *port != 0 {
			if err := tryPort(*port); err != nil {
				return p, portTaken(what, *port, err)
			}
		}
	}
	for _, port := range []*int{&p.public, &p.admin} {
		for *port == 0 || p.public == p.admin {
			free, err := FreePort()
			if err != nil {
				return p, err
			}
			*port = free
		}
	}
	return p, nil
}

// portTaken says what to do about a port that cannot be listened on.
func portTaken(what string, port int, cause error) error {
	return fmt.Errorf("hydradev: Hydra's %s port %d cannot be used on 127.0.0.1 (%w): stop the program that holds it, or choose another port (0 takes a free one)", what, port, cause)
}
