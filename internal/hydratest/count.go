package hydratest

import (
	"maps"
	"net/http"
	"strings"
)

// Counts are the requests the proxy got, by class: the method and the path with
// ids left out, for example "PUT /admin/clients/{id}", "POST /oauth2/token".
func (p *Proxy) Counts() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.received)
}

// Received is how many requests the proxy got of a method whose class of path
// begins with pathPrefix; an empty one means any. See [Proxy.Counts].
func (p *Proxy) Received(method, pathPrefix string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return sum(p.received, method, pathPrefix)
}

// Forwarded is [Proxy.Received] for the requests that went on to Hydra.
func (p *Proxy) Forwarded(method, pathPrefix string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return sum(p.forwarded, method, pathPrefix)
}

// ResetCounts starts counting anew.
func (p *Proxy) ResetCounts() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.received)
	clear(p.forwarded)
}

// count notes a request. in is one of the maps of p.
func (p *Proxy) count(in map[string]int, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	in[r.Method+" "+class(r.URL.Path)]++
}

func sum(counts map[string]int, method, pathPrefix string) int {
	n := 0
	for key, count := range counts {
		m, path, _ := strings.Cut(key, " ")
		if (method == "" || m == method) && strings.HasPrefix(path, pathPrefix) {
			n += count
		}
	}
	return n
}

// class is a path of Hydra's with its ids left out.
func class(path string) string {
	for _, collection := range []string{"/admin/clients/", "/admin/keys/"} {
		if rest, ok := strings.CutPrefix(path, collection); ok {
			if _, more, ok := strings.Cut(rest, "/"); ok {
				return collection + "{id}/" + more
			}
			return collection + "{id}"
		}
	}
	return path
}
