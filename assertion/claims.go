package assertion

import (
	"math"
	"slices"
)

// number reads a NumericDate as Hydra does: a fraction is cut off. ok is false for
// what is no number, and for one that is no date.
func (x *examination) number(claim string) (at int64, ok bool) {
	switch n := x.claims[claim].(type) {
	case int64:
		return n, true
	case float64:
		if math.Abs(n) < 1<<62 {
			return int64(n), true
		}
	}
	return 0, false
}

// expiry looks at exp first for the time, and late for its absence.
func (x *examination) expiry() finding {
	const fix = "let it end a minute from now, in seconds since 1970, and set this machine's clock by NTP"
	if x.claims == nil {
		return unknown("cannot be read")
	}
	value, found := x.claims["exp"]
	at, ok := x.number("exp")
	_, isFloat := value.(float64)
	switch {
	case !ok && isFloat:
		return bad(quote(value)+", which is no time", fix)
	case !ok:
		seen := "absent"
		if found {
			seen = quote(value) + ", which is no number"
		}
		return finding{result: Failed, seen: seen, fix: fix, answer: invalidClient, after: "jti_unused"}
	case at == 0:
		return good("0, by which Hydra understands no end")
	case at < x.Now.Unix():
		return bad(when(at, x.Now), fix)
	}
	return good(when(at, x.Now))
}

func (x *examination) issuedAt() finding  { return x.come("iat") }
func (x *examination) notBefore() finding { return x.come("nbf") }

// come wants a time that has come. What is no number Hydra passes over.
func (x *examination) come(claim string) finding {
	if x.claims == nil {
		return unknown("cannot be read")
	}
	value, found := x.claims[claim]
	if !found {
		return good("absent")
	}
	at, ok := x.number(claim)
	switch {
	case !ok:
		return good(quote(value) + ", which Hydra passes over")
	case at > x.Now.Unix():
		return bad(when(at, x.Now), "leave "+claim+" out, or set this machine's clock by NTP: a second ahead of Hydra's is too much")
	}
	return good(when(at, x.Now))
}

func (x *examination) issuer() finding  { return x.self("iss") }
func (x *examination) subject() finding { return x.self("sub") }

// self wants the key's id.
func (x *examination) self(claim string) finding {
	if x.claims == nil || x.who == "" && x.claims["sub"] == nil {
		f := unknown("the key's id is not known")
		if x.claims != nil && x.claims[claim] == nil {
			f = bad("absent", "set "+claim+" to the key's id")
		}
		return f
	}
	value, found := x.claims[claim]
	text, ok := value.(string)
	f := good(quote(text))
	switch {
	case !found:
		f = bad("absent", "set "+claim+" to the key's id")
	case !ok || text != x.who || claim == "iss" && text == "":
		f = bad(quote(value), "set iss and sub to the key's id, and send no other client_id in the form")
	}
	f.expected = quote(x.who)
	return f
}

func (x *examination) id() finding {
	if x.claims == nil {
		return unknown("cannot be read")
	}
	value, found := x.claims["jti"]
	text, ok := value.(string)
	switch {
	case !found:
		return bad("absent", "set jti to a random text, a new one for each request")
	case !ok || text == "":
		return bad(quote(value)+", which is no text or an empty one", "set jti to a random text, a new one for each request")
	}
	return good(quote(text))
}

func (x *examination) unused() finding {
	return unknown("only Hydra knows; make a new assertion for each request, also for one that is tried again")
}

func (x *examination) audience() finding {
	if x.claims == nil {
		return unknown("cannot be read")
	}
	value := x.claims["aud"]
	list, isList := value.([]any)
	one, isText := value.(string)
	if isText {
		list = []any{one}
	}
	seen := "absent"
	if value != nil {
		seen = quote(value)
	}
	f := bad(seen, "set aud to the token URL: many libraries send the issuer, and another name of the host or a slash at the end is not the same")
	none := !slices.ContainsFunc(list, func(v any) bool { s, ok := v.(string); return ok && s != "" })
	switch {
	case !isList && !isText || none:
	case x.TokenURL == "":
		f = unknown(seen + "; the token URL is not known")
	case slices.Contains(list, any(x.TokenURL)):
		f = good(seen)
	}
	if x.TokenURL != "" {
		f.expected = x.TokenURL
	}
	return f
}
