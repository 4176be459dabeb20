// A provider of OpenID Connect for tests: the certified library of Zitadel with its own storage in memory and its own
// login pages, over TLS. One client, which may use the authorization code with PKCE and the device code. It is public
// unless it has a secret.
//
//	oidc-provider --listen 127.0.0.1:8443 --cert FILE --key FILE --users FILE --client kubectl
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"log/slog"
	"net/http"
	"os"
	"strings"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// Loopback redirects, on any port.
const redirects = "http://127.0.0.1/callback,http://localhost/callback"

func main() {
	listen := flag.String("listen", "127.0.0.1:8443", "where to listen; the issuer is https:// and this")
	cert := flag.String("cert", "", "certificate, PEM")
	key := flag.String("key", "", "its key, PEM")
	users := flag.String("users", "", "JSON file with the users, by id")
	id := flag.String("client", "kubectl", "the one client")
	secret := flag.String("secret", "", "the secret of the client; empty for a public client")
	redirect := flag.String("redirect", redirects, "where the client may be sent back to, comma-separated")
	flag.Parse()

	store, err := storage.StoreFromFile(*users)
	if err != nil {
		log.Fatal(err)
	}
	storage.RegisterClients(storage.NativeClient(*id, strings.Split(*redirect, ",")...))
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	pages := exampleop.SetupServer("https://"+*listen, provider{storage.NewStorage(store), *secret}, logger, false)
	log.Fatal(http.ListenAndServeTLS(*listen, *cert, *key, pages))
}

type provider struct {
	*storage.Storage
	secret string
}

func (p provider) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	found, err := p.Storage.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}
	return client{found, p.secret}, nil
}

func (p provider) AuthorizeClientIDSecret(ctx context.Context, id, secret string) error {
	if p.secret == "" || secret != p.secret {
		return errors.New("wrong secret")
	}
	return nil
}

// client may use the device code too, and finds what it asked for in its ID tokens.
type client struct {
	op.Client
	secret string
}

func (c client) AuthMethod() oidc.AuthMethod {
	if c.secret != "" {
		return oidc.AuthMethodBasic
	}
	return c.Client.AuthMethod()
}

func (c client) GrantTypes() []oidc.GrantType {
	return append(c.Client.GrantTypes(), oidc.GrantTypeDeviceCode)
}

func (c client) IDTokenUserinfoClaimsAssertion() bool { return true }
