// Package config is the configuration of `tokenos serve`: what can be set,
// where a value may come from, and whether the whole is fit to start with.
//
// One struct, [Config], says it all: its tags hold each key's name, default,
// limits and meaning, and from them come the checks, the flags, the README's
// table ([Markdown]) and the JSON schema for editors ([Schema]).
//
// A value comes from the last of these that has it:
//
//	default < file < TOKENOS_<PATH> < TOKENOS_<PATH>_FILE < flag
//
// The file is YAML: the one named by --config or TOKENOS_CONFIG, else
// ./tokenos.yaml, else /etc/tokenos/tokenos.yaml, else none. The variable of
// server.tls.cert_file is TOKENOS_SERVER_TLS_CERT_FILE; the same name with
// another _FILE behind it names a file that holds the value. An empty variable
// is a value, not an absent one; one that should name a file and is empty is
// absent.
//
// [Load] reports every problem at once, each with its key and where the value
// came from, and never repeats a value: it may be a secret in the wrong place.
//
// The package imports nothing of this module.
package config
