package hydradev

import (
	"path/filepath"
	"testing"
)

// A server that starts from a template has the template's data, does not migrate,
// and goes its own way afterwards; a folder with data of its own keeps it.
func TestTemplate(t *testing.T) {
	template := filepath.Join(t.TempDir(), "template")
	s := start(t, Config{Dir: template})
	if status, body := call(t, "POST", s.AdminURL()+"/admin/clients", `{"client_id":"first"}`); status != 201 {
		t.Fatalf("create a client: got %d %s", status, body)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"", filepath.Join(t.TempDir(), "data")} {
		s := start(t, Config{Dir: dir, Template: template})
		if status, body := call(t, "GET", s.AdminURL()+"/admin/clients/first", ""); status != 200 {
			t.Fatalf("the template's client: got %d %s", status, body)
		}
		if status, body := call(t, "DELETE", s.AdminURL()+"/admin/clients/first", ""); status != 204 {
			t.Fatalf("delete the client: got %d %s", status, body)
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if dir == "" {
			continue
		}
		s = start(t, Config{Dir: dir, Template: template})
		if status, body := call(t, "GET", s.AdminURL()+"/admin/clients/first", ""); status != 404 {
			t.Errorf("the template came back over the data: got %d %s", status, body)
		}
	}
}
