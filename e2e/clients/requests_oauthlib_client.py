# requests-oauthlib sends id and secret in the header or the form; further
# parameters of fetch_token go into the form, so an assertion can ride along.
import os
import time
import uuid
from pathlib import Path
from urllib.parse import quote_plus

from authlib.jose import jwt
from oauthlib.oauth2 import BackendApplicationClient
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # plain HTTP on this machine
token_url, client_id, method = os.environ["TOKEN_URL"], os.environ["CLIENT_ID"], os.environ["AUTH_METHOD"]


def authentication():
    if method == "client_secret_basic":
        # It encodes neither id nor secret by itself (RFC 6749 section 2.3.1).
        secret = os.environ["TOKENOS_CLIENT_SECRET"]
        return {"auth": HTTPBasicAuth(quote_plus(client_id), quote_plus(secret))}
    if method == "client_secret_post":
        return {"include_client_id": True, "client_secret": os.environ["TOKENOS_CLIENT_SECRET"]}
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": token_url,
        "jti": str(uuid.uuid4()),
        "exp": int(time.time()) + 60,
    }
    header = {"alg": os.environ["ALG"], "kid": os.environ["KID"]}
    private_key = Path(os.environ["TOKENOS_PRIVATE_KEY_FILE"]).read_bytes()
    return {
        "include_client_id": True,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": jwt.encode(header, claims, private_key).decode(),
    }


session = OAuth2Session(client=BackendApplicationClient(client_id, scope=os.environ["SCOPE"].split()))
for _ in range(2):
    token = session.fetch_token(token_url, audience=os.environ["AUDIENCE"], **authentication())
    print(token["access_token"])
