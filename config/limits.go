package config

import "reflect"

// Limits are the rate limits of one process.
type Limits struct {
	AddressPerMinute  int `json:"address_per_minute" preset:"6000" minimum:"0" maximum:"1000000" doc:"Requests of one address (of IPv6: one /64). 0: no limit, for example behind a TCP proxy that hides addresses."`
	AddressBurst      int `json:"address_burst" preset:"200" minimum:"1" maximum:"1000000" doc:"How many of them may come at once."`
	CallerPerMinute   int `json:"caller_per_minute" preset:"3000" minimum:"0" maximum:"1000000" doc:"Requests of one caller, whatever its address. 0: no limit."`
	CallerBurst       int `json:"caller_burst" preset:"100" minimum:"1" maximum:"1000000" doc:"How many of them may come at once."`
	FailuresPerMinute int `json:"failures_per_minute" preset:"20" minimum:"0" maximum:"1000000" doc:"Refused credentials of one address; then only callers accepted in the last five minutes get through. 0: no limit."`
	FailuresBurst     int `json:"failures_burst" preset:"20" minimum:"1" maximum:"1000000" doc:"How many of them may come at once."`
	SelfPerMinute     int `json:"self_per_minute" preset:"10" minimum:"0" maximum:"1000000" doc:"Requests to /v1/self of one address, and about one key. 0: no limit."`
	SelfBurst         int `json:"self_burst" preset:"10" minimum:"1" maximum:"1000000" doc:"How many of them may come at once."`
}

// DefaultLimits are the limits where nothing is configured.
func DefaultLimits() Limits {
	var c Config
	at := reflect.ValueOf(&c).Elem()
	for _, v := range vars() {
		if n, ok := v.preset().(int); ok {
			at.FieldByIndex(v.index).SetInt(int64(n))
		}
	}
	return c.Limits
}
