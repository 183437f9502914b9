// simple-oauth2 sends id and secret in the header or the form; parameters of its
// getToken go into the form, so an assertion can ride along.
import { ClientCredentials } from "simple-oauth2";
import { assertion } from "./assertion.mjs";

const { TOKEN_URL, CLIENT_ID, AUTH_METHOD, SCOPE, AUDIENCE, TOKENOS_CLIENT_SECRET } = process.env;

const url = new URL(TOKEN_URL);
const client = new ClientCredentials({
  client: { id: CLIENT_ID, secret: TOKENOS_CLIENT_SECRET ?? "" }, // it wants one
  auth: { tokenHost: url.origin, tokenPath: url.pathname },
  options: { authorizationMethod: AUTH_METHOD === "client_secret_basic" ? "header" : "body" },
});

for (let i = 0; i < 2; i++) {
  const proof = AUTH_METHOD === "private_key_jwt" ? await assertion() : {};
  try {
    const { token } = await client.getToken({ scope: SCOPE, audience: AUDIENCE, ...proof });
    console.log(token.access_token);
  } catch (error) {
    // Its error holds the request with the Authorization header: never log it whole.
    console.error(error.message, error.data?.payload);
    process.exit(1);
  }
}
