package config

import "testing"

// The limits of a program without a configuration are those of one that sets
// none, and 0 takes one away.
func TestDefaultLimits(t *testing.T) {
	got, err := loadEnv(goodEnv())
	if err != nil {
		t.Fatal(err)
	}
	if DefaultLimits() != got.Limits || got.Limits.AddressPerMinute == 0 {
		t.Errorf("DefaultLimits %+v, configuration %+v", DefaultLimits(), got.Limits)
	}
	got, err = loadEnv(goodEnv("LIMITS_CALLER_PER_MINUTE=0"))
	if err != nil || got.Limits.CallerPerMinute != 0 || got.Limits.AddressPerMinute == 0 {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err = loadEnv(goodEnv("LIMITS_CALLER_BURST=0", "LIMITS_SELF_PER_MINUTE=-1", "LIMITS_FAILURES_PER_MINUTE=fast"))
	wantProblems(t, err,
		"limits.caller_burst (env TOKENOS_LIMITS_CALLER_BURST): expected ",
		"limits.failures_per_minute (env TOKENOS_LIMITS_FAILURES_PER_MINUTE): expected integer from 0 to 1000000",
		"limits.self_per_minute (env TOKENOS_LIMITS_SELF_PER_MINUTE): expected ")
}
