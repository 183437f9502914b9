// oauth4webapi makes all three authentications.
import * as oauth from "oauth4webapi";

const { TOKEN_URL, CLIENT_ID, AUTH_METHOD, SCOPE, AUDIENCE, KID, TOKENOS_CLIENT_SECRET } = process.env;

const authentication = {
  client_secret_basic: () => oauth.ClientSecretBasic(TOKENOS_CLIENT_SECRET),
  client_secret_post: () => oauth.ClientSecretPost(TOKENOS_CLIENT_SECRET),
  private_key_jwt: async () => oauth.PrivateKeyJwt({ key: (await import("./key.mjs")).key, kid: KID }, {
    [oauth.modifyAssertion]: (_header, claims) => {
      claims.aud = TOKEN_URL; // it says the issuer, which Hydra refuses
      delete claims.iat; // and these two, of which Hydra forgives not a second
      delete claims.nbf;
    },
  }),
};

const server = { issuer: new URL(TOKEN_URL).origin, token_endpoint: TOKEN_URL };
const client = { client_id: CLIENT_ID };
const insecure = { [oauth.allowInsecureRequests]: true }; // plain HTTP on this machine

for (let i = 0; i < 2; i++) {
  const parameters = new URLSearchParams({ scope: SCOPE, audience: AUDIENCE });
  const response = await oauth.clientCredentialsGrantRequest(server, client, await authentication[AUTH_METHOD](), parameters, insecure);
  const token = await oauth.processClientCredentialsResponse(server, client, response);
  console.log(token.access_token);
}
