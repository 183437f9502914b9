package apikey_test

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
)

// found reports whether each word of the query begins one of the key's terms,
// which is how the ledger looks.
func found(d apikey.Definition, query string) bool {
	terms := apikey.SearchTerms(d)
	for _, w := range apikey.SearchWords(query) {
		if !slices.ContainsFunc(terms, func(term string) bool { return strings.HasPrefix(term, w) }) {
			return false
		}
	}
	return true
}

// A key is found by the beginnings of the words of its name, description,
// owner, labels and id, in any case and order.
func TestSearchFinds(t *testing.T) {
	d := apikey.Definition{
		ID: "key_live_01k9x2aaaabbbbccccddddeeee", Environment: apikey.Live,
		Name: "Billing-Worker (nightly)", Description: "Straße, ΣΊΣΥΦΟΣ, J\u030Corn\ncafé №7 Ꮀ İstanbul", Owner: "Acme GmbH",
		Labels: map[string]string{"team": "Payments", "cost.center": "4711/b"},
	}
	for _, q := range []string{
		"", "billing", "BILL", "worker billing", "nightly", "acme", "gmbh acme bill", "team", "payments", "4711", "cost", "center", "01k9x2",
		"01K9X2AAAABBBBCCCCDDDDEEEE", "straße", "STRASSE", "strass", "σίσυφος", "ΣΊΣΥΦΟΣ", "cafe\u0301", "CAFÉ", "ǰorn", "J\u030CORN", "no7", "ꮀ", "Ꮀ", "istanbul", "ISTANBUL", "İSTANBUL", "ıstanbul", "ｂｉｌｌｉｎｇ", "billing-worker", "\"billing\"", "4711/b",
	} {
		if !found(d, q) {
			t.Errorf("%q does not find it among %q", q, apikey.SearchTerms(d))
		}
	}
	for _, q := range []string{"illing", "work3r", "key", "live", "%", "bill%z", "bill_ng", "x", "acme evil", "01k9x3"} {
		if len(apikey.SearchWords(q)) > 0 && found(d, q) {
			t.Errorf("%q finds it", q)
		}
	}
}

// Terms and words come sorted, each once, bounded, and are valid text.
func TestSearchTermsAreBounded(t *testing.T) {
	d := apikey.Definition{Name: "b a B A b", Owner: strings.Repeat("é", 100), Description: strings.Repeat("世", 500)}
	terms := apikey.SearchTerms(d)
	if diff := cmp.Diff([]string{"a", "b", strings.Repeat("é", 32), strings.Repeat("世", 21)}, terms); diff != "" {
		t.Errorf("terms (-want +got):\n%s", diff)
	}
	for _, term := range terms {
		if len(term) > 64 || !utf8.ValidString(term) {
			t.Errorf("the term %q is too long or no text", term)
		}
	}
	if !found(d, strings.Repeat("É", 100)) || !found(d, strings.Repeat("世", 500)) {
		t.Error("a word that was cut off is not found")
	}
	words := apikey.SearchWords("j i h g f e d c b a a a")
	if len(words) != 8 || !slices.IsSorted(words) {
		t.Errorf("a query has the words %q, want at most eight, sorted", words)
	}
	for _, q := range []string{"", " \t", "%_*'\"--", "()", "\x00"} {
		if words := apikey.SearchWords(q); len(words) != 0 {
			t.Errorf("%q has the words %q", q, words)
		}
	}
}

// Every letter of Unicode is found by each of its cases, and every term by
// itself.
func TestEveryLetterIsFound(t *testing.T) {
	terms := func(s string) []string { return apikey.SearchTerms(apikey.Definition{Name: s}) }
	for r := '!'; r <= unicode.MaxRune; r++ {
		if !utf8.ValidRune(r) || !unicode.In(r, unicode.L, unicode.N, unicode.M, unicode.S) {
			continue
		}
		found := terms(string(r))
		for _, word := range found {
			if again := terms(word); !slices.Equal(again, []string{word}) {
				t.Errorf("%U: the term %q is found by %q", r, word, again)
			}
		}
		for _, other := range []rune{unicode.ToUpper(r), unicode.ToLower(r), unicode.ToTitle(r), unicode.SimpleFold(r)} {
			if again := terms(string(other)); !slices.Equal(again, found) {
				t.Errorf("%U has the terms %q, its case %U %q", r, found, other, again)
			}
		}
	}
}

// Names sort without regard to case or to how an accent is written.
func TestSortKey(t *testing.T) {
	if apikey.SortKey("CAFE\u0301") != apikey.SortKey("café") {
		t.Error("one name sorts in two places")
	}
	if !(apikey.SortKey("alpha") < apikey.SortKey("Beta") && apikey.SortKey("Beta") < apikey.SortKey("gamma")) {
		t.Error("names do not sort by letter")
	}
}
