# Authlib makes all three authentications.
import os
import time
from pathlib import Path

from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session
from authlib.jose import jwt
from authlib.oauth2.rfc7523 import PrivateKeyJWT

token_url, client_id, method = os.environ["TOKEN_URL"], os.environ["CLIENT_ID"], os.environ["AUTH_METHOD"]


class Assertion(PrivateKeyJWT):
    """Authlib's own says iat, of which Hydra forgives not a second, lives an hour
    and, up to 1.2, names no kid, so that Hydra tries the first public key only."""

    def sign(self, auth, token_endpoint):
        header = {"alg": os.environ["ALG"], "kid": os.environ["KID"]}
        claims = {
            "iss": auth.client_id,
            "sub": auth.client_id,
            "aud": token_endpoint,
            "jti": generate_token(36),
            "exp": int(time.time()) + 60,
        }
        return jwt.encode(header, claims, auth.client_secret).decode()


if method == "private_key_jwt":
    credential = Path(os.environ["TOKENOS_PRIVATE_KEY_FILE"]).read_bytes()
else:
    credential = os.environ["TOKENOS_CLIENT_SECRET"]
session = OAuth2Session(client_id, credential, token_endpoint_auth_method=method, scope=os.environ["SCOPE"])
if method == "private_key_jwt":
    session.register_client_auth_method(Assertion(token_url))

for _ in range(2):
    token = session.fetch_token(token_url, grant_type="client_credentials", audience=os.environ["AUDIENCE"])
    print(token["access_token"])
