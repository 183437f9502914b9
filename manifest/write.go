package manifest

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/tokenos/tokenos/apikey"
)

// Write writes keys as documents, by owner, environment and name, and returns how
// many. It leaves out what no document is about: management keys, and those that
// were revoked or replaced.
func Write(w io.Writer, keys []apikey.Key, now time.Time) (int, error) {
	keys = slices.DeleteFunc(slices.Clone(keys), func(k apikey.Key) bool { return !current(&k) })
	slices.SortFunc(keys, compareKeys)
	out := yaml.NewEncoder(w)
	out.SetIndent(2)
	for _, k := range keys {
		n, err := documentOf(k, now)
		if err == nil {
			err = out.Encode(n)
		}
		if err != nil {
			return 0, err
		}
	}
	if len(keys) == 0 { // Close would fail
		return 0, nil
	}
	return len(keys), out.Close()
}

func documentOf(k apikey.Key, now time.Time) (*yaml.Node, error) {
	m := &yaml.Node{Kind: yaml.MappingNode}
	put(m, "id", textNode(k.ID))
	put(m, "name", textNode(k.Name))
	put(m, "owner", textNode(k.Owner))
	put(m, "environment", textNode(string(k.Environment)))
	if k.Description != "" {
		put(m, "description", textNode(k.Description))
	}
	if len(k.Labels) > 0 {
		labels := &yaml.Node{Kind: yaml.MappingNode}
		for _, name := range slices.Sorted(maps.Keys(k.Labels)) {
			put(labels, name, textNode(k.Labels[name]))
		}
		put(m, "labels", labels)
	}
	put(m, "auth_method", textNode(string(k.AuthMethod)))
	put(m, "scopes", listNode(k.Scopes))
	put(m, "audiences", listNode(k.Audiences))
	token := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
	put(token, "format", textNode(string(k.Token.Format)))
	put(token, "lifetime", textNode(k.Token.Lifetime.String()))
	put(m, "token", token)
	put(m, "expires_at", momentNode(k.ExpiresAt))
	putStatus(m, k)
	return m, putPublicKeys(m, k.LivePublicKeys(now))
}

// putStatus writes a pause without end. One with an end, or that began with its
// owner's, ends by other hands than apply's and is only told of; and that a key is
// active is not written, so that no apply ends a pause that somebody began since.
func putStatus(m *yaml.Node, k apikey.Key) {
	last := m.Content[len(m.Content)-1]
	switch {
	case k.Status != apikey.StatusDisabled:
	case k.DisabledWithOwner:
		last.LineComment = "# paused with its owner"
	case k.DisabledUntil != nil:
		last.LineComment = "# paused until " + moment(k.DisabledUntil)
	default:
		put(m, "status", textNode(string(k.Status)))
	}
}

func putPublicKeys(m *yaml.Node, keys []apikey.PublicKey) error {
	if len(keys) == 0 {
		return nil
	}
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for _, k := range keys {
		item := &yaml.Node{Kind: yaml.MappingNode}
		jwk, err := jwkNode(k.JWK)
		if err != nil {
			return err
		}
		put(item, "jwk", jwk)
		if k.ExpiresAt != nil {
			put(item, "expires_at", momentNode(k.ExpiresAt))
		}
		list.Content = append(list.Content, item)
	}
	put(m, "public_keys", list)
	return nil
}

// jwkNode writes the members that are text, which are all of a public key's.
func jwkNode(key apikey.JWK) (*yaml.Node, error) {
	if _, err := json.Marshal(key); err != nil {
		return nil, errors.New("a public key cannot be written")
	}
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, name := range slices.Sorted(maps.Keys(key)) {
		if value, ok := key[name].(string); ok {
			put(n, name, textNode(value))
		}
	}
	return n, nil
}

func put(m *yaml.Node, name string, value *yaml.Node) {
	m.Content = append(m.Content, textNode(name), value)
}

// textNode is text, in quotes where it could be read as something else or does
// something to a terminal.
func textNode(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(s)
	n.Tag = "!!str"
	if strings.ContainsFunc(s, func(r rune) bool {
		return r != '\n' && (unicode.Is(unicode.C, r) || unicode.Is(unicode.Z, r) && r != ' ')
	}) {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

func listNode(items []string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode}
	if len(items) == 0 {
		n.Style = yaml.FlowStyle
	}
	for _, s := range items {
		n.Content = append(n.Content, textNode(s))
	}
	return n
}

// momentNode is a moment, or never.
func momentNode(t *time.Time) *yaml.Node {
	if t == nil {
		return textNode("never")
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!timestamp", Value: moment(t)}
}
