package apikey

import (
	"testing"
	"time"
)

// BenchmarkNoteIssuance measures what an issuance adds to a request for a token.
func BenchmarkNoteIssuance(b *testing.B) {
	scopes := []string{"orders:read", "orders:write", "users:read"}
	ids := make([]string, 100_000)
	for i := range ids {
		ids[i] = NewID(Live, time.Now())
	}
	at := time.Now()
	b.Run("one key", func(b *testing.B) {
		s := &Service{book: newBook(bookRoom)}
		b.ReportAllocs()
		for b.Loop() {
			s.noteIssuance(issuance{ID: ids[0], At: at, Requested: scopes, Granted: scopes})
		}
	})
	b.Run("100,000 keys", func(b *testing.B) {
		s := &Service{book: newBook(bookRoom)}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			s.noteIssuance(issuance{ID: ids[i%len(ids)], At: at, Requested: scopes, Granted: scopes})
		}
	})
	b.Run("new keys", func(b *testing.B) {
		s := &Service{book: newBook(bookRoom)}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if i%len(ids) == len(ids)-1 {
				s.book.empty()
				s.book.hold(0)
			}
			s.noteIssuance(issuance{ID: ids[i%len(ids)], At: at, Requested: scopes, Granted: scopes})
		}
	})
	b.Run("parallel", func(b *testing.B) {
		s := &Service{book: newBook(bookRoom)}
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				s.noteIssuance(issuance{ID: ids[i%1000], At: at, Requested: scopes, Granted: scopes})
			}
		})
	})
	b.Run("denied, no scopes", func(b *testing.B) {
		s := &Service{book: newBook(bookRoom)}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			s.noteIssuance(issuance{ID: ids[i%1000], At: at, Denied: DeniedExpired})
		}
	})
}
