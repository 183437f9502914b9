package apikey

import "time"

// credential is what a key proves itself with: when it was made, and when it
// ends by itself, before the key does.
type credential struct {
	made time.Time
	end  *time.Time // nil: with the key
}

// credentialsOf are those that may authenticate at now.
func credentialsOf(d Definition, now time.Time) []credential {
	if d.AuthMethod.HasSecret() {
		made := d.CreatedAt
		if d.Secret != nil {
			made = d.Secret.CreatedAt
		}
		return []credential{{made: made}}
	}
	var out []credential
	for _, p := range d.LivePublicKeys(now) {
		out = append(out, credential{p.CreatedAt, p.ExpiresAt})
	}
	return out
}

// earlier is the earlier of two ends, of which nil is none.
func earlier(a, b *time.Time) *time.Time {
	if a == nil || b != nil && b.Before(*a) {
		return b
	}
	return a
}

// checkEnd checks how long the credentials of a key may work. had is the key
// before a patch, nil for one that is looked at as it is: what does not work
// longer than before is not asked about.
func (p Policy) checkEnd(v *validation, had *Definition, d Definition, now time.Time) {
	var was *time.Time
	if had != nil {
		if sameTime(d.ExpiresAt, had.ExpiresAt) {
			return
		}
		was = earlier(had.ExpiresAt, had.EndsAt)
	}
	end := earlier(d.ExpiresAt, d.EndsAt)
	if end == nil {
		if !*p.NeverExpires {
			v.violates("#/expires_at", "never_expires", "false", "the policy wants every key to end", p.endBy(had, d, now))
		}
		return
	}
	if p.MaxLifetime == nil {
		return
	}
	for _, c := range credentialsOf(d, now) {
		until := *earlier(c.end, end)
		if had != nil {
			if before := earlier(c.end, was); before == nil || !until.After(*before) {
				continue
			}
		}
		if until.After(c.made.Add(time.Duration(*p.MaxLifetime))) {
			v.violates("#/expires_at", "max_lifetime", p.MaxLifetime.String(), "lies further from the making of the credential than the policy allows", p.endBy(had, d, now))
			return
		}
	}
}

// endBy says what expires_at can be.
func (p Policy) endBy(had *Definition, d Definition, now time.Time) string {
	const anew = "rotate the key first, then set expires_at"
	if p.MaxLifetime == nil {
		return "set expires_at"
	}
	var first *time.Time // of the credentials, the first that must end
	for _, c := range credentialsOf(d, now) {
		latest := c.made.Add(time.Duration(*p.MaxLifetime))
		if c.end == nil || c.end.After(latest) {
			first = earlier(first, &latest)
		}
	}
	switch {
	case first == nil || !first.After(now):
		return anew
	case had == nil:
		return "at most " + first.UTC().Format(time.RFC3339)
	}
	return "at most " + first.UTC().Format(time.RFC3339) + ", or " + anew
}
