// The private key, a PEM file (PKCS #8), as a CryptoKey for ES256.
import { createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";

const pkcs8 = createPrivateKey(readFileSync(process.env.TOKENOS_PRIVATE_KEY_FILE)).export({ format: "der", type: "pkcs8" });
export const key = await crypto.subtle.importKey("pkcs8", pkcs8, { name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]);
