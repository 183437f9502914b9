package web

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"sync"
	"time"
)

const (
	linkTime = 15 * time.Minute
	maxLinks = 16
)

// Links are one-time links that sign in. The zero value is ready for use.
type Links struct {
	// Now is their clock. Nil means time.Now.
	Now func() time.Time

	mu   sync.Mutex
	made []link // the oldest first
}

type link struct {
	hash [sha256.Size]byte
	end  time.Time
}

// New makes a link and returns its path. It works once, within 15 minutes; only
// the latest 16 do.
func (l *Links) New() string {
	token := rand.Text()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.made = append(l.made, link{sha256.Sum256([]byte(token)), l.now().Add(linkTime)})
	l.made = l.made[max(0, len(l.made)-maxLinks):]
	return oncePath + token
}

// good reports whether a token would sign in now.
func (l *Links) good(token string) bool { return l.find(token, false) }

// spend is good, and uses the link up.
func (l *Links) spend(token string) bool { return l.find(token, true) }

func (l *Links) find(token string, spend bool) bool {
	hash := sha256.Sum256([]byte(token))
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, k := range l.made {
		if subtle.ConstantTimeCompare(k.hash[:], hash[:]) != 1 {
			continue
		}
		if spend {
			l.made = append(l.made[:i:i], l.made[i+1:]...)
		}
		return l.now().Before(k.end)
	}
	return false
}

func (l *Links) now() time.Time {
	if l.Now == nil {
		return time.Now()
	}
	return l.Now()
}
