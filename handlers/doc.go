// Package handlers is how programs speak to us: the REST API of [apikey.API]
// on Gin, described and bound by huma. It imports apikey and nothing else of
// ours, decides no rule about keys, and never sees Hydra or the ledger.
//
// # Where to look
//
// routes.go names every route on one screen. A request passes, in this order:
// exchange.go (request id, deadline, headers, log line, panics), ratelimit.go
// (too many requests; bucket.go counts them), https.go (a plain connection gets
// nothing but a refusal), auth.go (who calls; attempt.go for who guesses), body.go
// (size and media type), request.go (path ids, query, headers), and then one
// short handler. json.go and shape.go read a body strictly. problem.go holds
// the only table from kinds of errors to the wire (RFC 9457).
//
// # What is never repeated
//
// Nothing a caller sends comes back in an error, a header or a log line: it
// may be a secret pasted into the wrong place. The one exception is names of
// members and parameters of at most 32 letters and underscores, without which
// nobody could find a misspelling.
package handlers
