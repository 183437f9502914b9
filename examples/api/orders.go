package main

import (
	"slices"
	"sync"
	"time"
)

// order is what this API is about.
type order struct {
	Item  string    `json:"item"`
	Owner string    `json:"owner"` // whose key added it; the key's id if the token names no owner
	Made  time.Time `json:"made"`
}

const maxOrders = 1000 // kept; the oldest go

// orders are kept in memory. The zero value has none.
type orders struct {
	mu   sync.Mutex
	list []order
}

func (o *orders) add(n order) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = append(o.list, n)
	o.list = o.list[max(0, len(o.list)-maxOrders):]
}

// of returns the orders of one owner: a scope says what a key may do, never to
// whose things.
func (o *orders) of(owner string) []order {
	o.mu.Lock()
	defer o.mu.Unlock()
	own := []order{}
	for _, each := range o.list {
		if each.Owner == owner {
			own = append(own, each)
		}
	}
	return slices.Clip(own)
}
