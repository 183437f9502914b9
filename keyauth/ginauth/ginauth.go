// Package ginauth protects routes of a Gin server with
// [github.com/tokenos/tokenos/keyauth].
//
//	r := gin.New()
//	r.GET("/orders", ginauth.Require(v, "orders:read"), listOrders)
//
// A handler finds who calls in its request's context:
//
//	who, _ := keyauth.FromContext(c.Request.Context())
package ginauth

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/tokenos/tokenos/keyauth"
)

// Require is [keyauth.Verifier.Require] for Gin: who has no good token with all of
// the scopes gets the same answer, and no later handler runs. It panics if one
// cannot be a scope.
//
// TLS and proxies are judged by keyauth's own configuration, not by Gin's.
func Require(v *keyauth.Verifier, scopes ...string) gin.HandlerFunc {
	guard := v.Require(scopes...)
	return func(c *gin.Context) {
		passed := false
		guard(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			passed = true
			c.Request = r
			c.Next()
		})).ServeHTTP(c.Writer, c.Request)
		if !passed {
			c.Abort()
		}
	}
}
