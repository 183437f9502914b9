package apikey

import "context"

// Issuance is what the tests outside of this package note.
type Issuance = issuance

// NoteIssuance counts a request for a token.
func (s *Service) NoteIssuance(i Issuance) { s.noteIssuance(i) }

// Flush writes down what is counted.
func (s *Service) Flush(ctx context.Context) error { return s.flush(ctx) }
