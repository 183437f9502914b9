// Package ui holds the components that pages are made of. They know nothing of
// keys but their words for status; they write no inline script or style; whatever
// text they are given is shown as text.
//
// It imports apikey alone of ours.
package ui
