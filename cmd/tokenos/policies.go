package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/config"
)

// policies are the rules of a policy file; without one (nil) there are none. What
// is wrong in it is a [*config.Error], each problem with its line, in
// their order.
func policies(f *config.PolicyFile) (apikey.Policies, error) {
	if f == nil {
		return apikey.Policies{}, nil
	}
	p, err := apikey.ParsePolicies(f.JSON)
	invalid, ok := errors.AsType[*apikey.InvalidError](err)
	if !ok {
		return p, err
	}
	slices.SortStableFunc(invalid.Fields, func(a, b apikey.FieldError) int { return f.Line(a.Pointer) - f.Line(b.Pointer) })
	refused := &config.Error{}
	for _, wrong := range invalid.Fields {
		refused.Problems = append(refused.Problems, f.Problem(wrong.Pointer, strings.TrimRight(wrong.Detail+"; "+wrong.Fix, "; ")))
	}
	return p, withHint(refused, policyHint)
}

const policyHint = "docs/policy.md shows a whole policy file"
