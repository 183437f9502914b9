// Package keyauth checks access tokens.
package keyauth
