package apikey

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
)

// denials counts refused tokens: Hydra tells its callers no reason.
type denials struct {
	mu     sync.Mutex
	counts map[Denial]int64
	told   map[Denial]int64 // as the log last had them
}

func (d *denials) count(why Denial) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.counts == nil {
		d.counts = map[Denial]int64{}
	}
	d.counts[why]++
}

// Denials are the tokens that this process has refused since it began, by reason.
func (s *Service) Denials() map[Denial]int64 {
	s.denied.mu.Lock()
	defer s.denied.mu.Unlock()
	return maps.Clone(s.denied.counts)
}

// tellDenials logs what was refused since the last time, if anything.
func (s *Service) tellDenials(ctx context.Context) {
	now := s.Denials()
	var attrs []slog.Attr
	for _, why := range slices.Sorted(maps.Keys(now)) {
		if n := now[why] - s.denied.told[why]; n > 0 {
			attrs = append(attrs, slog.Int64(string(why), n))
		}
	}
	s.denied.told = now // only keepKeys comes here
	if len(attrs) > 0 {
		s.log.LogAttrs(ctx, slog.LevelInfo, "token requests refused", attrs...)
	}
}
