package bench

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/pgtest"
)

// BenchmarkStatusListElsewhere disables and enables one of 100,000 keys in one
// process and asks another, again and again, until its list tells. On SQLite,
// which one process has for itself, the other is a second service in it.
// told-p50-ms, told-p99-ms and told-max-ms count from the answer to the change,
// accepted-p50-ms is how long that took; list-B is the signed document.
func BenchmarkStatusListElsewhere(b *testing.B) {
	for _, name := range placeNames {
		b.Run(name, func(b *testing.B) {
			here, there := beside(b, name)
			scatter(b, here)
			issued, err := here.Service.Create(as(b.Context()), newKey("bench"))
			if err != nil {
				b.Fatal(err)
			}
			r, err := here.Ledger.Key(b.Context(), issued.Key.ID, apikey.View{})
			if err != nil {
				b.Fatal(err)
			}
			readStatus(b, there, r.StatusIndex)
			var told, accepted []time.Duration
			for n := 0; b.Loop(); n++ {
				want := byte(n%2) ^ 1
				start := time.Now()
				if want == 1 {
					_, err = here.Service.Disable(as(b.Context()), issued.Key.ID, apikey.DisableParams{})
				} else {
					_, err = here.Service.Enable(as(b.Context()), issued.Key.ID, apikey.ActionParams{})
				}
				if err != nil {
					b.Fatal(err)
				}
				done := time.Now()
				for readStatus(b, there, r.StatusIndex) != 2*want {
					if time.Since(done) > time.Minute {
						b.Fatal("the list does not tell within a minute")
					}
					time.Sleep(5 * time.Millisecond)
				}
				told, accepted = append(told, time.Since(done)), append(accepted, done.Sub(start))
			}
			slices.Sort(told)
			slices.Sort(accepted)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(millis(told[len(told)/2]), "told-p50-ms")
			b.ReportMetric(millis(told[len(told)*99/100]), "told-p99-ms")
			b.ReportMetric(millis(told[len(told)-1]), "told-max-ms")
			b.ReportMetric(millis(accepted[len(accepted)/2]), "accepted-p50-ms")
		})
	}
}

// beside makes two services on one ledger.
func beside(b *testing.B, name string) (here *apikeytest.World, there *apikey.Service) {
	b.Helper()
	quietly := func(c *apikey.Config) { c.Log = quiet }
	if name == "postgres" {
		url := pgtest.New(b, pgtest.Config{Durable: true}).URL(b)
		here = apikeytest.NewWorld(b, apikeytest.Options{LedgerURL: url, Config: quietly})
		return here, apikeytest.NewWorld(b, apikeytest.Options{LedgerURL: url, Idle: true, Config: quietly}).Service
	}
	here = apikeytest.NewWorld(b, apikeytest.Options{Config: quietly})
	there, err := apikey.New(apikey.Config{Ledger: here.Ledger, Clients: here.Clients, PublicURL: apikeytest.PublicURL, Log: quiet,
		ServerSecrets: []apikey.Secret{apikey.NewSecret(apikeytest.ServerSecret)}})
	if err != nil {
		b.Fatal(err)
	}
	return here, there
}

// readStatus is what a service's list 0 says at a place.
func readStatus(b *testing.B, s *apikey.Service, at int64) byte {
	b.Helper()
	list, err := s.StatusList(b.Context(), 0)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(len(list.JWT)), "list-B")
	packed, err := unpacked(list.JWT)
	if err != nil {
		b.Fatal(err)
	}
	return packed[at/4] >> (2 * (at % 4)) & 3
}

// unpacked is a status list's claims' list, without a look at the signature.
func unpacked(signed string) ([]byte, error) {
	var said struct {
		List struct {
			Lst string `json:"lst"`
		} `json:"status_list"`
	}
	parts := strings.Split(signed, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("%d parts", len(parts))
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(claims, &said); err != nil {
		return nil, err
	}
	small, err := base64.RawURLEncoding.DecodeString(said.List.Lst)
	if err != nil {
		return nil, err
	}
	z, err := zlib.NewReader(bytes.NewReader(small))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}
