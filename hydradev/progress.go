package hydradev

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"time"
)

const (
	// tailLines is how many of a process' last lines an error shows.
	tailLines = 20
	// lineLimit cuts lines that are longer, in bytes.
	lineLimit = 4 << 10
	// hydraPackages is about how many packages Hydra and the standard library
	// have; go build -v names each one that is not in the build cache yet.
	hydraPackages = 820
)

// buildCount reads the output of go build -v: it counts what people like to see
// moving and keeps the last lines for the case of failure.
type buildCount struct {
	mu                sync.Mutex
	lines             lines
	modules, packages int
}

func (c *buildCount) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.lines.add(p) {
		switch {
		case strings.HasPrefix(l, "go: downloading "):
			c.modules++
		case l != "" && !strings.ContainsAny(l, " \t"):
			c.packages++
		}
	}
	return len(p), nil
}

// line is the sign of life after the elapsed time.
func (c *buildCount) line(elapsed time.Duration) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := fmt.Sprintf("  %s:", elapsed)
	if c.modules > 0 {
		s += fmt.Sprintf(" %d modules downloaded,", c.modules)
	}
	if c.packages == 0 {
		return s + " getting ready to compile"
	}
	return s + fmt.Sprintf(" %d packages compiled of about %d", c.packages, hydraPackages)
}

func (c *buildCount) tail() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lines.tail()
}

// lines cuts a stream into lines and remembers the last [tailLines] of them.
// The zero value is ready. It is not safe for concurrent use.
type lines struct {
	part []byte
	last []string
}

// add takes more of the stream and returns the lines it completes.
func (s *lines) add(p []byte) (whole []string) {
	s.part = append(s.part, p...)
	for {
		i := bytes.IndexByte(s.part, '\n')
		if i < 0 && len(s.part) <= lineLimit {
			break
		}
		if i < 0 || i > lineLimit {
			i = lineLimit
			whole = append(whole, string(s.part[:i]))
			s.part = s.part[i:]
			continue
		}
		whole = append(whole, strings.TrimSuffix(string(s.part[:i]), "\r"))
		s.part = s.part[i+1:]
	}
	s.last = append(s.last, whole...)
	if n := len(s.last) - tailLines; n > 0 {
		s.last = append([]string(nil), s.last[n:]...)
	}
	return whole
}

// tail is the end of the stream, an unfinished last line included.
func (s *lines) tail() string {
	all := s.last
	if len(s.part) > 0 {
		all = append(all[:len(all):len(all)], string(s.part))
	}
	return strings.TrimSpace(strings.Join(all, "\n"))
}
