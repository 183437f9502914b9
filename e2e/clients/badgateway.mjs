// @badgateway/oauth2-client sends id and secret in the header or the form; its
// extraParams go into the form, so an assertion can ride along.
import { OAuth2Client } from "@badgateway/oauth2-client";
import { assertion } from "./assertion.mjs";

const { TOKEN_URL, CLIENT_ID, AUTH_METHOD, SCOPE, AUDIENCE, TOKENOS_CLIENT_SECRET } = process.env;

const withSecret = { clientSecret: TOKENOS_CLIENT_SECRET, authenticationMethod: AUTH_METHOD };
const client = new OAuth2Client({
  tokenEndpoint: TOKEN_URL, clientId: CLIENT_ID, ...(AUTH_METHOD === "private_key_jwt" ? {} : withSecret),
});

for (let i = 0; i < 2; i++) {
  const proof = AUTH_METHOD === "private_key_jwt" ? await assertion() : {};
  const token = await client.clientCredentials({ scope: SCOPE.split(" "), extraParams: { audience: AUDIENCE, ...proof } });
  console.log(token.accessToken);
}
