"""PyJWT and jwcrypto over lines of JSON: one request per line on stdin, one response per line on stdout."""

import base64
import hashlib
import hmac
import json
import secrets
import sys
import urllib.request

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

OURS = "HS256 HS384 HS512 RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 EdDSA Ed25519".split()


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def generate(alg):
    """A new key, as a `cryptography` object; bytes for HMAC."""
    family = alg[:2]
    if family == "HS":
        return secrets.token_bytes(64)
    if family in ("RS", "PS"):
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    if alg == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if alg == "ES384":
        return ec.generate_private_key(ec.SECP384R1())
    return ed25519.Ed25519PrivateKey.generate()


def pems(key):
    """The documents of a key pair: PKCS #8 and SPKI, and PKCS #1 for RSA."""
    enc, priv, pub = serialization.Encoding.PEM, serialization.PrivateFormat, serialization.PublicFormat
    plain, public = serialization.NoEncryption(), key.public_key()
    found = {
        "pkcs8": key.private_bytes(enc, priv.PKCS8, plain).decode(),
        "spki": public.public_bytes(enc, pub.SubjectPublicKeyInfo).decode(),
    }
    if isinstance(key, rsa.RSAPrivateKey):
        found["pkcs1"] = key.private_bytes(enc, priv.TraditionalOpenSSL, plain).decode()
        found["pkcs1_public"] = public.public_bytes(enc, pub.PKCS1).decode()
    return found


class PyJwt:
    def __init__(self):
        import jwt

        self.jwt = jwt
        self.name = f"PyJWT {jwt.__version__}"
        self.registry = jwt.algorithms.get_default_algorithms()

    def algorithms(self):
        return [alg for alg in OURS if alg in self.registry]

    def keys(self, alg):
        key, algorithm = generate(alg), self.registry[alg]
        if isinstance(key, bytes):
            jwk = algorithm.to_jwk(key, as_dict=True)
            return {"private_jwk": jwk, "public_jwk": jwk, "thumbprint": None}
        return {
            "private_jwk": algorithm.to_jwk(key, as_dict=True),
            "public_jwk": algorithm.to_jwk(key.public_key(), as_dict=True),
            "thumbprint": None,
            **pems(key),
        }

    def sign(self, alg, jwk, header, claims):
        key = self.jwt.PyJWK.from_dict(jwk, algorithm=alg)
        return self.jwt.encode(claims, key, algorithm=alg, headers=header)

    def verify(self, alg, token, iss, aud, jwk=None, pem=None, jwks=None, jwks_url=None):
        if jwks_url is not None:
            key = self.jwt.PyJWKClient(jwks_url).get_signing_key_from_jwt(token)
        elif jwks is not None:
            key = self.jwt.PyJWKSet.from_dict(jwks)[self.jwt.get_unverified_header(token)["kid"]]
        else:
            key = pem or self.jwt.PyJWK.from_dict(jwk, algorithm=alg)
        required = ["exp", "iat", "nbf", "iss", "aud", "sub", "jti"]
        read = self.jwt.decode_complete(
            token, key, algorithms=[alg], issuer=iss, audience=aud, options={"require": required}
        )
        return {"header": read["header"], "claims": read["payload"]}

    def thumbprint(self, jwk):
        return None

    def unsigned(self, header, claims):
        return self.jwt.encode(claims, None, algorithm="none", headers=header)


class JwCrypto:
    def __init__(self):
        from importlib.metadata import version

        from jwcrypto import jwk, jws, jwt

        self.jwk, self.jwt = jwk, jwt
        self.name = f"jwcrypto {version('jwcrypto')}"
        self.registry = jws.default_allowed_algs

    def algorithms(self):
        return [alg for alg in OURS if alg in self.registry]

    def keys(self, alg):
        key = generate(alg)
        if isinstance(key, bytes):
            jwk = self.jwk.JWK(kty="oct", k=b64(key))
            found = jwk.export(as_dict=True)
            return {"private_jwk": found, "public_jwk": found, "thumbprint": None}
        documents = pems(key)
        jwk = self.jwk.JWK.from_pem(documents["pkcs8"].encode())
        return {
            "private_jwk": jwk.export_private(as_dict=True),
            "public_jwk": jwk.export_public(as_dict=True),
            "thumbprint": jwk.thumbprint(),
            **documents,
        }

    def sign(self, alg, jwk, header, claims):
        token = self.jwt.JWT(header={"alg": alg, **header}, claims=claims, algs=[alg])
        token.make_signed_token(self.jwk.JWK(**jwk))
        return token.serialize()

    def verify(self, alg, token, iss, aud, jwk=None, pem=None, jwks=None, jwks_url=None):
        if jwks_url is not None:
            # jwcrypto has no HTTP client.
            with urllib.request.urlopen(jwks_url) as answer:
                key = self.jwk.JWKSet.from_json(answer.read())
        elif jwks is not None:
            key = self.jwk.JWKSet.from_json(json.dumps(jwks))
        else:
            key = self.jwk.JWK.from_pem(pem.encode()) if pem else self.jwk.JWK(**jwk)
        expected = dict.fromkeys(["exp", "iat", "nbf", "sub", "jti"], None) | {"iss": iss, "aud": aud}
        read = self.jwt.JWT(jwt=token, key=key, algs=[alg], check_claims=expected, expected_type="JWS")
        return {"header": json.loads(read.header), "claims": json.loads(read.claims)}

    def thumbprint(self, jwk):
        return self.jwk.JWK(**jwk).thumbprint()

    def unsigned(self, header, claims):
        # jwcrypto has no key for `none`, so the token is put together by hand.
        head = {"alg": "none", **header}
        return ".".join([b64(json.dumps(head).encode()), b64(json.dumps(claims).encode()), ""])


def confused(pem, header, claims):
    """The attack that libraries refuse to sign: HS256 with the text of a public key as the secret."""
    head = {"alg": "HS256", **header}
    message = b64(json.dumps(head).encode()) + "." + b64(json.dumps(claims).encode())
    return message + "." + b64(hmac.new(pem.encode(), message.encode(), hashlib.sha256).digest())


def main():
    peer = {"pyjwt": PyJwt, "jwcrypto": JwCrypto}[sys.argv[1]]()
    operations = {
        "hello": lambda: {"name": peer.name, "algorithms": peer.algorithms()},
        "keys": peer.keys,
        "sign": peer.sign,
        "verify": peer.verify,
        "thumbprint": peer.thumbprint,
        "unsigned": peer.unsigned,
        "confused": confused,
    }
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"ok": operations[request.pop("op")](**request)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


main()
