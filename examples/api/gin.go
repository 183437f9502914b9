package main

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/tokenos/tokenos/keyauth"
	"github.com/tokenos/tokenos/keyauth/ginauth"
)

// withGin is the same API on Gin.
func withGin(v *keyauth.Verifier, all *orders) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Use(gin.Recovery())
	r.GET("/health", func(c *gin.Context) { c.Status(http.StatusNoContent) })
	r.GET("/whoami", ginauth.Require(v), func(c *gin.Context) {
		who, _ := keyauth.FromContext(c.Request.Context())
		c.JSON(http.StatusOK, who)
	})
	r.GET("/orders", ginauth.Require(v, "orders:read"), func(c *gin.Context) {
		who, _ := keyauth.FromContext(c.Request.Context())
		c.JSON(http.StatusOK, all.of(ownerOf(who)))
	})
	r.POST("/orders", ginauth.Require(v, "orders:write"), func(c *gin.Context) {
		who, _ := keyauth.FromContext(c.Request.Context())
		var n order
		c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, maxBody)
		if err := c.ShouldBindJSON(&n); err != nil || n.Item == "" {
			c.String(http.StatusBadRequest, "send an item\n")
			return
		}
		n.Owner, n.Made = ownerOf(who), time.Now().UTC()
		all.add(n)
		c.JSON(http.StatusCreated, n)
	})
	return r
}
