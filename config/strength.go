package config

import "strings"

// Least number of different characters in a server secret. 32 random
// hexadecimal digits have fewer than this with a probability under one in ten
// million; what people type to fill a field often has fewer.
const minDistinct = 8

// placeholders stand in examples; in 32 random characters none of them appears.
var placeholders = []string{"changeme", "change-me", "change_me", "password", "placeholder", "example", "insecure", "your-secret", "replace-me", "replaceme"}

// weakness says why a secret of sufficient length is still no secret, or "". It
// finds what was obviously not made at random, and proves nothing about the rest.
func weakness(s string) string {
	const how = `; make one with "openssl rand -base64 32"`
	lower := strings.ToLower(s)
	for _, p := range placeholders {
		if strings.Contains(lower, p) {
			return "expected a random secret, not the placeholder of an example" + how
		}
	}
	switch {
	case distinct(s) < minDistinct:
		return "expected a random secret with more variety" + how
	case period(s) <= len(s)/2:
		return "expected a random secret, not a repeated text" + how
	case steps(s) > len(s)/2:
		return "expected a random secret, not a sequence of neighbours" + how
	}
	return ""
}

func distinct(s string) int {
	seen := map[rune]bool{}
	for _, r := range s {
		seen[r] = true
	}
	return len(seen)
}

// period is the length of the shortest text whose repetition begins with s; it
// is the length of s if s repeats nothing (failure function of Knuth, Morris
// and Pratt).
func period(s string) int {
	border := make([]int, len(s)+1)
	border[0] = -1
	for i, k := 0, -1; i < len(s); i++ {
		for k >= 0 && s[k] != s[i] {
			k = border[k]
		}
		k++
		border[i+1] = k
	}
	return len(s) - max(border[len(s)], 0)
}

// steps counts neighbours that differ by one or not at all: "abcdef", "987".
func steps(s string) int {
	n := 0
	for i := 1; i < len(s); i++ {
		if d := int(s[i]) - int(s[i-1]); d >= -1 && d <= 1 {
			n++
		}
	}
	return n
}
