// An assertion of private_key_jwt (RFC 7523) by jose, for clients that make none.
import { randomUUID } from "node:crypto";
import { SignJWT } from "jose";

const { TOKEN_URL, CLIENT_ID, KID, ALG } = process.env;

// assertion returns the two parameters for one request: Hydra takes no assertion
// twice. It has no iat and no nbf: Hydra has no leeway.
export async function assertion() {
  const { key } = await import("./key.mjs");
  return {
    client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    client_assertion: await new SignJWT({ jti: randomUUID() })
      .setProtectedHeader({ alg: ALG, kid: KID })
      .setIssuer(CLIENT_ID).setSubject(CLIENT_ID).setAudience(TOKEN_URL)
      .setExpirationTime("60s")
      .sign(key),
  };
}
