package tokensource_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"

	"golang.org/x/oauth2"

	"github.com/tokenos/tokenos/client/tokensource"
)

// A program calls an API with the tokens of a key that has a secret.
func Example() {
	defer stage()()

	source, err := tokensource.New(tokensource.Config{
		TokenURL:   os.Getenv("TOKENOS_TOKEN_URL"), // https://auth.example.com/oauth2/token
		ClientID:   os.Getenv("TOKENOS_CLIENT_ID"), // key_live_...
		Credential: tokensource.ClientSecretBasic(os.Getenv("TOKENOS_CLIENT_SECRET")),
		Scopes:     []string{"orders:read"},
		Audiences:  []string{"https://api.example.com"},
		OnFailure:  func(err error) { log.Print(err) },
	})
	if err != nil {
		log.Fatal(err)
	}
	orders := oauth2.NewClient(context.Background(), source)
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, os.Getenv("ORDERS_URL"), nil)
	if err != nil {
		log.Fatal(err)
	}
	resp, err := orders.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 200 OK
}

// A key with a public key at Hydra signs an assertion for each token. The private
// key may also be any [crypto.Signer], for example of an HSM.
func ExamplePrivateKeyJWT() {
	defer stage()()

	text, err := os.ReadFile(os.Getenv("TOKENOS_PRIVATE_KEY_FILE"))
	if err != nil {
		log.Fatal(err)
	}
	key, err := tokensource.ParsePEM(text)
	if err != nil {
		log.Fatal(err)
	}
	source, err := tokensource.New(tokensource.Config{
		TokenURL:   os.Getenv("TOKENOS_TOKEN_URL"),
		ClientID:   os.Getenv("TOKENOS_PRIVATE_KEY_ID"),
		Credential: tokensource.PrivateKeyJWT(key),
		Scopes:     []string{"orders:read"},
		Audiences:  []string{"https://api.example.com"},
	})
	if err != nil {
		log.Fatal(err)
	}
	token, err := source.AccessToken(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token != "")
	// Output: true
}

// A program tells what somebody must mend from what passes.
func ExampleError() {
	defer stage()()

	source, err := tokensource.New(tokensource.Config{
		TokenURL:   os.Getenv("TOKENOS_TOKEN_URL"),
		ClientID:   os.Getenv("TOKENOS_CLIENT_ID"),
		Credential: tokensource.ClientSecretPost(os.Getenv("TOKENOS_CLIENT_SECRET")), // the key wants Basic
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = source.Token()
	var refusal *tokensource.Error
	switch {
	case errors.Is(err, tokensource.ErrUnavailable):
		fmt.Println("try again later")
	case errors.As(err, &refusal):
		fmt.Println(refusal.Kind, refusal.Want)
	}
	// Output: tokensource: wrong_method client_secret_basic
}

// A token that an API refuses is forgotten, so that the next call buys another: a
// key that was disabled and enabled again has lost the tokens of before.
func ExampleSource_Forget() {
	defer stage()()

	source, err := tokensource.New(tokensource.Config{
		TokenURL:   os.Getenv("TOKENOS_TOKEN_URL"),
		ClientID:   os.Getenv("TOKENOS_CLIENT_ID"),
		Credential: tokensource.ClientSecretBasic(os.Getenv("TOKENOS_CLIENT_SECRET")),
	})
	if err != nil {
		log.Fatal(err)
	}
	// This transport asks the source each time; that of oauth2.NewClient does not.
	orders := &http.Client{Transport: &oauth2.Transport{Source: source}}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, os.Getenv("ORDERS_URL")+"/other-audience", nil)
	if err != nil {
		log.Fatal(err)
	}
	resp, err := orders.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusUnauthorized {
		source.Forget(strings.TrimPrefix(resp.Request.Header.Get("Authorization"), "Bearer "))
	}
	fmt.Println(resp.Status)
	// Output: 401 Unauthorized
}
