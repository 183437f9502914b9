package apikey

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"
)

var errTooDeep = errors.New("too deep")

// object is a JSON object with its names in order. A name that is given twice
// has its first value.
type object struct {
	names   []string
	members map[string]any
}

// value reads one value: object, []any, string, bool, json.Number or nil.
func (d *policyDocument) value(dec *json.Decoder, at string, depth int) (any, error) {
	t, err := dec.Token()
	if err != nil || depth > maxPolicyDepth {
		return nil, cmp.Or(err, errTooDeep)
	}
	switch t {
	case json.Delim('{'):
		return d.object(dec, at, depth)
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			v, err := d.value(dec, at+"/"+itoa(len(list)), depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := dec.Token()
		return list, err
	}
	return t, nil
}

func (d *policyDocument) object(dec *json.Decoder, at string, depth int) (any, error) {
	o := object{members: map[string]any{}}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name, _ := t.(string) // json.Valid was asked: a name is nothing else
		here := at + "/" + escapePointer(name)
		v, err := d.value(dec, here, depth+1)
		if err != nil {
			return nil, err
		}
		if _, twice := o.members[name]; twice {
			d.add(here, "repeated_member", "is given twice", "")
			continue
		}
		o.names, o.members[name] = append(o.names, name), v
	}
	_, err := dec.Token()
	return o, err
}

// members hands each member of an object to its reader. others, if given, reads
// those that have none.
func (d *policyDocument) members(at string, v any, readers map[string]func(at string, v any), others func(at, name string, v any)) {
	o, ok := v.(object)
	if !ok {
		d.add(at, "wrong_type", "must be an object with members", "leave it out to say nothing")
		return
	}
	for _, name := range o.names {
		here := at + "/" + escapePointer(name)
		switch read := readers[name]; {
		case read != nil:
			read(here, o.members[name])
		case others != nil:
			others(here, name, o.members[name])
		default:
			d.add(here, "unknown_member", "there is no such member here", "")
		}
	}
}

// list reads an array of least items or more.
func (d *policyDocument) list(at string, v any, least int) ([]any, bool) {
	list, ok := v.([]any)
	switch {
	case !ok:
		d.add(at, "wrong_type", "must be a list", "leave it out to allow all")
	case len(list) < least:
		d.add(at, "required", "an empty list would allow nothing", "leave it out to allow all")
	case len(list) > maxPolicyItems:
		d.add(at, "too_many", "has more than "+itoa(maxPolicyItems)+" items", "")
	default:
		return list, true
	}
	return nil, false
}

// texts reads a list of different strings.
func (d *policyDocument) texts(at string, v any, least int) []string {
	list, ok := d.list(at, v, least)
	if !ok {
		return nil
	}
	out := make([]string, 0, len(list))
	for i, item := range list {
		s := d.text(at+"/"+itoa(i), item)
		if slices.Contains(out, s) {
			d.add(at+"/"+itoa(i), "duplicate", "is in the list twice", "")
		}
		out = append(out, s)
	}
	return out
}

// words reads a list of some of the allowed words.
func words[T ~string](d *policyDocument, at string, v any, allowed ...T) []T {
	var out []T
	for i, s := range d.texts(at, v, 1) {
		oneOf(&d.validation, at+"/"+itoa(i), T(s), allowed...)
		out = append(out, T(s))
	}
	return out
}

func (d *policyDocument) text(at string, v any) string {
	s, ok := v.(string)
	if !ok {
		d.add(at, "wrong_type", "must be text", "")
	}
	return s
}

func (d *policyDocument) duration(at string, v any, least, most Duration) *Duration {
	s, ok := v.(string)
	length, err := ParseDuration(s)
	switch {
	case !ok || err != nil:
		d.add(at, "wrong_type", "must be a duration with its unit", "write it like 15m, 36h or 90d")
	case length < least || length > most || time.Duration(length)%time.Second != 0:
		d.add(at, "out_of_range", "must be whole seconds from "+least.String()+" to "+most.String(), "")
	default:
		return &length
	}
	return nil
}

func (d *policyDocument) boolean(at string, v any) *bool {
	b, ok := v.(bool)
	if !ok {
		d.add(at, "wrong_type", "must be true or false", "")
		return nil
	}
	return &b
}

func (d *policyDocument) integer(at string, v any, most int) *int {
	number, ok := v.(json.Number)
	n, err := strconv.Atoi(number.String())
	switch {
	case !ok || err != nil && !errors.Is(err, strconv.ErrRange):
		d.add(at, "wrong_type", "must be a whole number", "")
	case err != nil || n < 0 || n > most:
		d.add(at, "out_of_range", "must be 0 to "+itoa(most), "")
	default:
		return &n
	}
	return nil
}
