package apikey

// Quota bounds how many keys of kind api an owner may have in one environment:
// those that are neither revoked nor replaced, and those being made for it.
type Quota struct {
	Owner       string
	Environment Environment
	Max         int
}

// QuotaError says that a change would give an owner more keys than its quota.
type QuotaError struct{ Quota Quota }

func (e *QuotaError) Error() string { return "quota of keys exceeded" }

// quotaFor is the quota that a change must keep to: of the owner who would have
// one key more. Nil: none. A rotation makes no key more, unless the successor
// before has been revoked: its place is free for others.
func (s *Service) quotaFor(a Action, before Record, target Definition, successor *Definition) *Quota {
	gains := a == ActionCreate || a == ActionUpdate && before.Owner != target.Owner
	if a == ActionRotate && before.ReplacedBy != nil && successor != nil {
		gains, target = true, *successor
	}
	if !gains || target.Kind != KindAPI || target.RevokedAt != nil || target.EndsAt != nil {
		return nil
	}
	most := s.policyFor(target.Owner, target.Environment).MaxKeys
	if most == nil {
		return nil
	}
	return &Quota{Owner: target.Owner, Environment: target.Environment, Max: *most}
}

// overQuota says to the caller that the owner has no room.
func overQuota(q Quota) error {
	v := &validation{}
	v.violates("#/owner", "max_keys", itoa(q.Max), "this owner has as many keys in this environment as the policy allows", "revoke one that is not needed")
	return v.err()
}
