package handlers_test

import (
	"strings"
	"testing"
)

// The OpenAPI document says that each route but those of health may answer 429,
// and which headers tell of limits.
func TestOpenAPIRateLimits(t *testing.T) {
	doc := published(t)
	headers := func(response any) string {
		all, _ := response.(map[string]any)
		named, _ := all["headers"].(map[string]any)
		var out []string
		for _, name := range []string{"RateLimit", "RateLimit-Policy", "Retry-After"} {
			if ref, _ := named[name].(map[string]any); ref["$ref"] == "#/components/headers/"+name {
				out = append(out, name)
			}
		}
		return strings.Join(out, " ")
	}
	for path, ops := range doc.Paths {
		for method, op := range ops {
			limited := !strings.HasPrefix(path, "/health/")
			for status, response := range op.Responses {
				var want []string
				if limited {
					want = []string{"RateLimit", "RateLimit-Policy"}
				}
				if status == "429" || status == "503" {
					want = append(want, "Retry-After")
				}
				if got := headers(response); got != strings.Join(want, " ") {
					t.Errorf("%s %s %s: headers %q, want %q", method, path, status, got, want)
				}
			}
			if (op.Responses["429"] != nil) != limited {
				t.Errorf("%s %s: 429 %v", method, path, op.Responses["429"])
			}
		}
	}
}
