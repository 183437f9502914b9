package apikey

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

const (
	maxSearchWords = 8
	maxWordLength  = 64 // bytes
)

// SearchTerms are the words under which a key is found, sorted, each once:
// those of its name, description, owner and labels, and its id whole and in
// parts. Environment prefixes of ids are left out, as they would find every key.
func SearchTerms(d Definition) []string {
	text := []string{d.Name, d.Description, d.Owner, strings.TrimPrefix(d.ID, "key_"+string(d.Environment)+"_")}
	for k, v := range d.Labels {
		text = append(text, k, v)
	}
	words := fold(strings.Join(text, " "))
	slices.Sort(words)
	return slices.Compact(words)
}

// SearchWords splits a query into words to look up, at most eight.
func SearchWords(q string) []string {
	words := fold(q)
	slices.Sort(words)
	words = slices.Compact(words)
	return words[:min(len(words), maxSearchWords)]
}

// SortKey is the form of a name that lists are ordered by.
func SortKey(name string) string { return strings.ToLower(norm.NFC.String(name)) }

// oneI: who writes Istanbul finds it in Turkish letters too.
var oneI = strings.NewReplacer("İ", "i", "ı", "i")

// fold makes one of letters that differ in case or form alone (the Unicode
// Standard, section 3.13, D146), and splits at everything that is not a letter
// or digit. Folding takes composed letters apart, so it is composed again; and
// it exchanges the two cases of Cherokee, so it is lower-cased.
func fold(s string) []string {
	s = cases.Fold().String(oneI.Replace(norm.NFKC.String(s)))
	s = norm.NFKC.String(strings.ToLower(s))
	words := strings.FieldsFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
	})
	for i, w := range words {
		if len(w) > maxWordLength {
			words[i] = strings.ToValidUTF8(w[:maxWordLength], "")
		}
	}
	return words
}
