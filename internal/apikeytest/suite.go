// Package apikeytest holds the promises of [apikey.API] as one suite, to be run
// on the service itself and again through HTTP with the Go client: if the wire
// loses a member or a kind of error, the second run says so. Every outcome is
// proven at Hydra's own door.
package apikeytest

import (
	"context"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// Fixture is an API under test and the Hydra behind it.
type Fixture struct {
	// As returns the API and a context for a caller with these rights, bound
	// to these owners (none: all).
	As func(t *testing.T, rights []apikey.Right, owners ...string) (apikey.API, context.Context)
	// Clock drives the service's clock.
	Clock *Clock
	// TokenURL and AdminURL are Hydra's.
	TokenURL, AdminURL string
	// AddUsage adds to the counts of the ledger behind the API.
	AddUsage func(context.Context, apikey.UsageBatch) error
}

// All is every right but admin.
var All = []apikey.Right{apikey.KeysRead, apikey.KeysWrite, apikey.AuditRead}

// Run runs the suite.
func Run(t *testing.T, f Fixture) {
	for name, test := range map[string]func(*testing.T, Fixture){
		"create":      testCreate,
		"methods":     testMethods,
		"update":      testUpdate,
		"pause":       testPause,
		"expiry":      testExpiry,
		"revoke":      testRevoke,
		"publickeys":  testPublicKeys,
		"tokens":      testRevokeTokens,
		"successor":   testSuccessor,
		"in place":    testInPlace,
		"overlap":     testOverlap,
		"new method":  testRotateMethod,
		"rotation":    testRotationRules,
		"closed":      testRotateClosed,
		"replay":      testRotationReplay,
		"chain":       testRotationEvents,
		"doctor":      testDoctor,
		"signing":     testSigningKeys,
		"dry run":     testDryRun,
		"notices":     testNotices,
		"idempotency": testIdempotency,
		"list":        testList,
		"events":      testEvents,
		"feed":        testFeed,
		"verify":      testVerify,
		"key names":   testKeyNames,
		"usage":       testUsage,
		"unused":      testUnused,
		"operations":  testOperations,
		"rights":      testRights,
		"owners":      testOwners,
		"management":  testManagement,
		"invalid":     testInvalid,
		"policy":      testPolicy,
		"policies":    testPolicies,
		"self":        testSelf,
		"selfRevoke":  testRevokeSelf,
		"selfRotated": testSelfRotation,
		"introspect":  testIntrospect,
		"narrowed":    testIntrospectNarrowed,
	} {
		t.Run(name, func(t *testing.T) { test(t, f) })
	}
}

// Within is how soon the clock's doings must show: the promise is two seconds;
// the rest is for a machine that also runs other tests.
const Within = 10 * time.Second
