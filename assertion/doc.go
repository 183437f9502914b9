// Package assertion says why Ory Hydra takes or refuses a client assertion, the
// JWT with which a private_key_jwt key authenticates (RFC 7523 section 3):
//
//	report := assertion.Explain(token, assertion.Options{TokenURL: "https://auth.example.com/oauth2/token"})
//	if report.Verdict == assertion.Refused {
//		fmt.Println("Hydra would answer", report.Answer, "because of", report.Because)
//	}
//
// Hydra's own answers often do not say: an assertion that is a second too old is a
// 500 without a reason, a signature by another key a 401 that reads like many. The
// checks are Hydra's, in its order (fosite v0.49.0, client_authentication.go and
// token/jwt), read from its source and compared with a running one. Unlike Hydra
// all of them are made, so that everything wrong is seen at once.
//
// Nothing is sent anywhere. What only Hydra knows, such as whether a jti was used,
// is [Unknown].
//
// Of ours it imports apikey alone, for its words.
package assertion
