package config

import (
	"testing"
	"time"
)

// Without a provider there is no dashboard, and nothing more to configure.
func TestDashboardNeedsAProvider(t *testing.T) {
	c, err := loadEnv(goodEnv())
	if err != nil {
		t.Fatal(err)
	}
	if d := c.Dashboard; d.Served() || !d.Enabled || d.Idle.Std() != 30*time.Minute || d.Lifetime.Std() != 12*time.Hour {
		t.Errorf("got %+v", d)
	}
	c, err = loadEnv(goodEnv("DASHBOARD_OIDC_ISSUER=https://login.example.com", "DASHBOARD_OIDC_CLIENT_ID=tokenos", "DASHBOARD_OIDC_ROLES_ADMIN=ops, root"))
	if err != nil {
		t.Fatal(err)
	}
	if d := c.Dashboard; !d.Served() || d.OIDC.RoleClaim != "roles" || len(d.OIDC.Roles.Admin) != 2 {
		t.Errorf("got %+v", d)
	}
}

// What would sign nobody in, or in clear, is refused.
func TestDashboardRules(t *testing.T) {
	provider := []string{"DASHBOARD_OIDC_ISSUER=https://login.example.com", "DASHBOARD_OIDC_CLIENT_ID=tokenos"}
	for _, test := range []struct {
		name, change, want string
	}{
		{"no client", "DASHBOARD_OIDC_CLIENT_ID", "dashboard.oidc.client_id (default): required because"},
		{"in clear", "DASHBOARD_OIDC_ISSUER=http://login.example.com", "dashboard.oidc.issuer (env TOKENOS_DASHBOARD_OIDC_ISSUER): expected an https URL"},
		{"no URL", "DASHBOARD_OIDC_ISSUER=login", "dashboard.oidc.issuer (env TOKENOS_DASHBOARD_OIDC_ISSUER): expected a URL such as https://login.example.com"},
		{"below a path", "SERVER_PUBLIC_URL=https://example.com/keys", "server.public_url (env TOKENOS_SERVER_PUBLIC_URL): expected a URL without a path"},
		{"idle above lifetime", "DASHBOARD_IDLE=13h", "dashboard.idle (env TOKENOS_DASHBOARD_IDLE): expected not more than dashboard.lifetime"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := loadEnv(goodEnv(append(provider, test.change)...))
			wantProblems(t, err, test.want)
		})
	}
	if _, err := loadEnv(goodEnv("DASHBOARD_OIDC_ISSUER=http://127.0.0.1:4444/", "DASHBOARD_OIDC_CLIENT_ID=tokenos")); err != nil {
		t.Errorf("a provider on loopback: %v", err)
	}
}
