package apikey

import "time"

// Definition is the key that p describes, as a server without policies would make
// it at now for a caller who may do everything: text in NFC and without space
// around it, lists sorted and each item once, times in whole seconds, defaults
// filled in. Its id means nothing. What is wrong with p is an *[InvalidError] that
// lists everything.
func (p CreateParams) Definition(now time.Time) (Definition, error) {
	return define(p, System("check"), now, Policies{})
}
