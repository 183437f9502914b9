package handlers

import (
	"log/slog"
	"net/http"
	"time"
)

// Time-outs of the HTTP server. What is inside another is shorter: the header
// and the body are read, then RequestTimeout runs, then the answer is written.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeSlack        = 5 * time.Second
	idleTimeout       = 60 * time.Second
	maxHeaderBytes    = 32 << 10 // net/http adds 4 KiB of slop
)

// Server makes the http.Server for a handler, with every limit set: net/http
// has none by itself. requestTimeout is Config.RequestTimeout; zero means its
// default. Serve it on a listener, best on [Listener]'s.
func Server(h http.Handler, requestTimeout time.Duration, log *slog.Logger) *http.Server {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if requestTimeout == 0 {
		requestTimeout = defaultRequestTimeout
	}
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		// WriteTimeout starts when the header has been read: it holds the
		// body's time as well.
		WriteTimeout:   readTimeout + requestTimeout + writeSlack,
		IdleTimeout:    idleTimeout,
		MaxHeaderBytes: maxHeaderBytes,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		// Else net/http answers "OPTIONS *" with 200 by itself, in clear too.
		DisableGeneralOptionsHandler: true,
	}
}
