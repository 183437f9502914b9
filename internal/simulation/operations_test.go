package simulation

import (
	"fmt"
	"slices"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// Between these numbers of keys the simulation stays.
const (
	fewKeys  = 30
	manyKeys = 45
)

// operation is something that happens in one step.
type operation struct {
	name   string
	weight int
	do     func(*simulation)
}

// operations are what can happen. Operations of other features join here.
var operations = []operation{
	{doCreate, 8, func(s *simulation) { s.request(s.newCreate()) }},
	{"get", 3, (*simulation).get},
	{"list", 3, (*simulation).list},
	{"events", 3, (*simulation).feed},
	{doUpdate, 13, func(s *simulation) { s.request(s.newUpdate(s.pick(nil))) }},
	{doDisable, 7, func(s *simulation) { s.request(s.newDisable(s.pick(nil))) }},
	{doEnable, 9, func(s *simulation) {
		s.request(s.newAction(doEnable, s.pick(func(f facts) bool { return f.disabled })))
	}},
	{doRevoke, 3, func(s *simulation) { s.request(s.newAction(doRevoke, s.pick(nil))) }},
	{"self", 8, (*simulation).self},
	{doDelete, 4, func(s *simulation) { s.request(s.newAction(doDelete, s.pick(func(f facts) bool { return f.revoked }))) }},
	{doTokens, 4, func(s *simulation) { s.request(s.newAction(doTokens, s.pick(nil))) }},
	{doAddKey, 5, func(s *simulation) { s.request(s.newAddKey(s.pick(withKeys))) }},
	{doRemoveKey, 4, func(s *simulation) { s.request(s.newRemoveKey(s.pick(withKeys))) }},
	{doRotate, 16, func(s *simulation) { s.request(s.newRotate(s.pick(nil))) }},
	{"rotate again", 8, (*simulation).rotateAgain},
	{doComplete, 6, func(s *simulation) { s.request(s.newAction(doComplete, s.pick(rotating))) }},
	{"owner", 7, (*simulation).everything},
	{"repeat", 9, (*simulation).repeat},
	{"trespass", 4, (*simulation).trespass},
	{"burst", 6, (*simulation).burst},
	{"twins", 3, (*simulation).twins},
	{"clock", 9, (*simulation).forward},
	{"turn", 14, func(s *simulation) { s.turn(s.replica(), s.doomed(12)) }},
}

func withKeys(f facts) bool { return !f.method.HasSecret() }
func rotating(f facts) bool { return f.replacedBy != "" && !f.revoked }

// choose picks an operation by its weight, and by how many keys there are.
func (s *simulation) choose() operation {
	weight := func(o operation) int {
		n := len(s.living())
		switch {
		case s.weather.now != nil && s.weather.now.late && (o.name == doCreate || o.name == doRotate || o.name == doEnable):
			return 6 * o.weight // of these a request that comes late does the most harm
		case o.name == doCreate && n < fewKeys:
			return 4 * o.weight
		case o.name == doCreate && n > manyKeys:
			return 1
		case o.name == doRotate && n > manyKeys:
			return o.weight / 2
		case n > manyKeys && (o.name == doRevoke || o.name == doDelete):
			return 4 * o.weight
		}
		return o.weight
	}
	total := 0
	for _, o := range operations {
		total += weight(o)
	}
	at := s.rand.IntN(total)
	for _, o := range operations {
		if at -= weight(o); at < 0 {
			return o
		}
	}
	return operations[0]
}

// living are the keys that are not surely gone, by age.
func (s *simulation) living() []*subject {
	return slices.DeleteFunc(slices.Clone(s.subjects), func(k *subject) bool { return k.gone })
}

// pick chooses a key, mostly one that is as wanted (nil: any).
func (s *simulation) pick(wanted func(facts) bool) *subject {
	all := s.living()
	if len(all) == 0 {
		return nil
	}
	if wanted == nil && s.chance(60) {
		wanted = s.usable
	}
	if wanted != nil && s.chance(85) {
		some := slices.DeleteFunc(slices.Clone(all), func(k *subject) bool { return !k.some(wanted) })
		if len(some) > 0 {
			all = some
		}
	}
	return all[s.rand.IntN(len(all))]
}

// usable are keys of which much can be asked.
func (s *simulation) usable(f facts) bool { return f.replacedBy == "" && !f.over(s.place.now()) }

// chance is true in so many of a hundred cases.
func (s *simulation) chance(percent int) bool { return s.rand.IntN(100) < percent }

func (s *simulation) replica() *replica { return s.place.replicas[s.rand.IntN(len(s.place.replicas))] }

// who may change the key: its owner, or the admin.
func (s *simulation) who(owner string) *party {
	if s.chance(25) {
		return s.admin
	}
	return s.parties[owner]
}

// header makes an Idempotency-Key in some cases.
func (s *simulation) header(percent int) string {
	if !s.chance(percent) {
		return ""
	}
	return fmt.Sprintf("simulation-%d-%d-%d", s.seed, s.step, s.rand.IntN(1000))
}

var methods = []apikey.AuthMethod{apikey.ClientSecretBasic, apikey.ClientSecretPost, apikey.PrivateKeyJWT}

// scopes always hold the one that credentials are tried with.
func (s *simulation) scopes() []string {
	out := []string{"base"}
	for _, more := range []string{"a", "b", "c"} {
		if s.chance(50) {
			out = append(out, more)
		}
	}
	return out
}

// ahead is a moment in the future: in seconds up to weeks.
func (s *simulation) ahead() int64 {
	longest := []time.Duration{90 * time.Second, time.Hour, 3 * 24 * time.Hour, 45 * 24 * time.Hour}[s.rand.IntN(4)]
	return s.place.now() + 20 + s.rand.Int64N(int64(longest/time.Second))
}

func (s *simulation) newCreate() *request {
	owner := s.owners[s.rand.IntN(len(s.owners))]
	q := &request{does: doCreate, by: s.who(owner), header: s.header(50)}
	job := fmt.Sprint("job", s.step, "-", s.rand.IntN(1000))
	q.create = apikey.CreateParams{Name: "n0", Owner: owner, Scopes: s.scopes(), Labels: map[string]string{"job": job}, AuthMethod: methods[min(2, s.rand.IntN(4))], IdempotencyKey: q.header}
	if s.chance(45) {
		q.create.ExpiresAt = apikey.SetTo(*moment(s.ahead()))
	}
	if s.chance(20) {
		q.create.Audiences = []string{"https://api.example.com"}
	}
	if s.chance(15) {
		q.create.Token = &apikey.TokenParams{Format: apikey.JWT}
	}
	if q.create.AuthMethod == apikey.PrivateKeyJWT {
		for i := range 1 + s.rand.IntN(2) {
			expires := int64(0)
			if i > 0 && s.chance(70) {
				expires = s.ahead()
			}
			in, p := s.pairOf(expires)
			q.create.PublicKeys, q.fresh = append(q.create.PublicKeys, in), append(q.fresh, p)
		}
	}
	return q
}

func (s *simulation) newUpdate(k *subject) *request {
	if k == nil {
		return nil
	}
	q := &request{does: doUpdate, key: k, by: s.who(k.owner), dryRun: s.chance(8)}
	for range 1 + s.rand.IntN(2) {
		switch s.rand.IntN(6) {
		case 0:
			q.update.Name = new(fmt.Sprint("n", s.rand.IntN(1000)))
		case 1:
			q.update.Scopes = new(s.scopes())
		case 2:
			q.update.ExpiresAt = apikey.Null[time.Time]()
			if s.chance(75) {
				q.update.ExpiresAt = apikey.SetTo(*moment(s.ahead()))
			}
		case 3:
			q.update.Labels = map[string]*string{"team": nil}
			if s.chance(70) {
				q.update.Labels["team"] = new(fmt.Sprint("team", s.rand.IntN(9)))
			}
		case 4:
			q.update.AuthMethod = new(methods[s.rand.IntN(2)])
		case 5:
			q.update.Token = &apikey.TokenParams{Lifetime: new(apikey.Duration(time.Duration(1+s.rand.IntN(60)) * time.Minute))}
		}
	}
	if s.chance(20) {
		q.update.IfMatch = max(1, k.revision-int64(s.rand.IntN(2)))
	}
	return q
}

func (s *simulation) newDisable(k *subject) *request {
	q := s.newAction(doDisable, k)
	if q != nil && s.chance(50) {
		q.until = s.ahead()
	}
	return q
}

func (s *simulation) newAction(does string, k *subject) *request {
	if k == nil {
		return nil
	}
	q := &request{does: does, key: k, by: s.who(k.owner)}
	if does != doDelete {
		q.header, q.dryRun = s.header(35), s.chance(10)
	}
	return q
}

func (s *simulation) newAddKey(k *subject) *request {
	if k == nil || len(k.possible[0].keys) >= 5 {
		return nil
	}
	q := &request{does: doAddKey, key: k, by: s.who(k.owner), header: s.header(35)}
	expires := int64(0)
	if s.chance(65) {
		expires = s.ahead()
	}
	in, p := s.pairOf(expires)
	q.input, q.fresh = &in, []publicKey{p}
	return q
}

func (s *simulation) newRemoveKey(k *subject) *request {
	if k == nil {
		return nil
	}
	q := &request{does: doRemoveKey, key: k, by: s.who(k.owner), kid: "none"}
	if len(k.kids) > 0 {
		q.kid = k.kids[s.rand.IntN(len(k.kids))]
	}
	return q
}

func (s *simulation) newRotate(k *subject) *request {
	if k == nil {
		return nil
	}
	q := &request{does: doRotate, key: k, by: s.who(k.owner), header: s.header(40)}
	q.rotate.Force, q.dryRun = s.chance(35), s.chance(15)
	if periods := []time.Duration{0, 0, 30 * time.Second, time.Hour, 72 * time.Hour, 30 * 24 * time.Hour}; s.chance(75) {
		q.rotate.GracePeriod = new(apikey.Duration(periods[s.rand.IntN(len(periods))]))
	}
	method := k.method()
	if s.chance(25) || k.some(func(f facts) bool { return f.method != method }) {
		method = methods[s.rand.IntN(3)]
		q.rotate.AuthMethod = method
	}
	if !method.HasSecret() {
		in, p := s.pairOf(0)
		q.rotate.PublicKeys, q.fresh = []apikey.PublicKeyInput{in}, []publicKey{p}
	}
	return q
}

// rotateAgain rotates while an older rotation is not over: its successor, mostly
// by force, or the replaced key itself, once more, whose successor it revokes
// first if that lives.
func (s *simulation) rotateAgain() {
	k := s.pick(func(f facts) bool { return f.replacedBy != "" && !f.over(s.place.now()) })
	if k == nil {
		return
	}
	force := s.chance(50)
	for _, f := range k.possible {
		next := s.byID[f.replacedBy]
		if next != nil && force {
			q := s.newRotate(next)
			q.rotate.Force, q.dryRun = s.chance(80), s.chance(40)
			s.request(q)
			return
		}
		if next != nil && !next.some(func(f facts) bool { return f.revoked || f.gone }) {
			s.request(s.newAction(doRevoke, next))
		}
	}
	s.request(s.newRotate(k))
}
