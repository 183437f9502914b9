package apikey

// Credential is what a key proves itself with at Hydra (RFC 6749 section 2.3,
// RFC 7523 section 2.2).
type Credential struct {
	Method    AuthMethod
	ID        string
	Secret    Secret // client_secret_basic and client_secret_post
	Assertion Secret // private_key_jwt: the client assertion
}
