package main

import (
	"cmp"
	"encoding/json"
	"net/http"
	"time"

	"github.com/tokenos/tokenos/keyauth"
)

const maxBody = 4 << 10 // bytes

// withNetHTTP is the API on the standard library.
func withNetHTTP(v *keyauth.Verifier, all *orders) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.Handle("GET /whoami", v.Require()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, _ := keyauth.FromContext(r.Context())
		answer(w, http.StatusOK, who)
	})))
	mux.Handle("GET /orders", v.Require("orders:read")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, _ := keyauth.FromContext(r.Context())
		answer(w, http.StatusOK, all.of(ownerOf(who)))
	})))
	mux.Handle("POST /orders", v.Require("orders:write")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, _ := keyauth.FromContext(r.Context())
		var n order
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&n); err != nil || n.Item == "" {
			http.Error(w, "send an item", http.StatusBadRequest)
			return
		}
		n.Owner, n.Made = ownerOf(who), time.Now().UTC()
		all.add(n)
		answer(w, http.StatusCreated, n)
	})))
	return mux
}

// ownerOf is whose orders a key sees.
func ownerOf(who keyauth.Identity) string { return cmp.Or(who.Owner, who.RootID, who.KeyID) }

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller may have left
}
