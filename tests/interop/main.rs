//! Tests with real peers: PyJWT, jwcrypto and npm `jose` accept our tokens, and we accept theirs. npm
//! `oidc-provider` rotates its keys, introspects and revokes opaque tokens, logs users out, crashes and comes
//! back.
//!
//! See the README.md in this folder.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

#[cfg(feature = "jwks")]
mod browser;
#[cfg(feature = "axum")]
mod dpop;
#[cfg(feature = "jwks")]
mod logout;
#[cfg(feature = "jwks")]
mod opaque;
mod peer;
#[cfg(feature = "jwks")]
mod provider;
#[cfg(feature = "jwks")]
mod rotation;
mod served;

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tower_jwt_auth::keys::KeySet;
use tower_jwt_auth::{
    Algorithm, AuthErrorKind, SigningKey, TokenIssuer, TokenVerifier, VerifyingKey,
};

use peer::Peer;

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "https://api.example";

#[test]
fn pyjwt_agrees() {
    if let Some(mut peer) = Peer::python("pyjwt") {
        check_peer(&mut peer, &[Algorithm::Ed25519]);
    }
}

#[test]
fn jwcrypto_agrees() {
    if let Some(mut peer) = Peer::python("jwcrypto") {
        check_peer(&mut peer, &[]);
    }
}

#[test]
fn jose_agrees() {
    if let Some(mut peer) = Peer::node() {
        check_peer(&mut peer, &[]);
    }
}

/// All algorithms that the peer supports: ours except `lacks`, so that none is lost unnoticed.
fn check_peer(peer: &mut Peer, lacks: &[Algorithm]) {
    let hello = peer.ask(&json!({"op": "hello"}));
    let offered = hello["algorithms"].as_array().unwrap();
    for algorithm in Algorithm::ALL {
        let offers = offered.iter().any(|name| *name == algorithm.as_str());
        assert_eq!(
            offers,
            !lacks.contains(&algorithm),
            "{hello} and {algorithm}"
        );
        if offers {
            let pair = Pair::made_by(peer, algorithm);
            pair.their_tokens_verify_here(peer);
            pair.their_bad_tokens_are_refused_here(peer);
            pair.our_tokens_verify_there(peer);
            if !algorithm.is_symmetric() {
                pair.thumbprints_agree(peer);
                pair.a_public_key_is_no_secret(peer);
            }
            // A secret has no public half. RSA keys are slow to generate, and those of the peer were exported
            // already.
            if !algorithm.is_symmetric() && !is_rsa(algorithm) {
                our_own_keys_load_there(peer, algorithm);
            }
            if algorithm == Algorithm::RS256 || !is_rsa(algorithm) {
                served::key_files_are_shared(peer, algorithm);
            }
        }
    }
    served::served_keys_verify_there(peer);
}

/// A key pair or a secret that the peer generated, in every form that it can write.
struct Pair {
    algorithm: Algorithm,
    private_jwk: Value,
    public_jwk: Value,
    documents: Value,
}

impl Pair {
    fn made_by(peer: &mut Peer, algorithm: Algorithm) -> Self {
        let made = peer.ask(&json!({"op": "keys", "alg": algorithm.as_str()}));
        Self {
            algorithm,
            private_jwk: made["private_jwk"].clone(),
            public_jwk: made["public_jwk"].clone(),
            documents: made,
        }
    }

    fn document(&self, name: &str) -> Option<&str> {
        self.documents[name].as_str()
    }

    fn secret(&self) -> Vec<u8> {
        let text = self.private_jwk["k"].as_str().unwrap();
        URL_SAFE_NO_PAD.decode(text).unwrap()
    }

    /// The public half, from each form in which the peer wrote it.
    fn verifying_keys(&self) -> Vec<(&str, VerifyingKey)> {
        let jwk = with_alg(&self.public_jwk, self.algorithm);
        let mut keys = vec![("JWK", VerifyingKey::from_jwk(&jwk).unwrap())];
        for form in ["spki", "pkcs1_public"] {
            if let Some(pem) = self.document(form) {
                keys.push((form, VerifyingKey::from_pem(self.algorithm, pem).unwrap()));
            }
        }
        let secret = match self.algorithm {
            Algorithm::HS256 => Some(VerifyingKey::hs256(self.secret())),
            Algorithm::HS384 => Some(VerifyingKey::hs384(self.secret())),
            Algorithm::HS512 => Some(VerifyingKey::hs512(self.secret())),
            _ => None,
        };
        keys.extend(secret.map(|key| ("secret", key.unwrap())));
        keys
    }

    /// The private half, from each form in which the peer wrote it.
    fn signing_keys(&self) -> Vec<(&str, SigningKey)> {
        let jwk = with_alg(&self.private_jwk, self.algorithm);
        let mut keys = vec![("JWK", SigningKey::from_jwk(&jwk).unwrap())];
        for form in ["pkcs8", "pkcs1"] {
            if let Some(pem) = self.document(form) {
                keys.push((form, SigningKey::from_pem(self.algorithm, pem).unwrap()));
            }
        }
        keys
    }

    fn signed_by(&self, peer: &mut Peer, header: &Value, claims: &Value) -> String {
        let alg = self.algorithm.as_str();
        let jwk = &self.private_jwk;
        text(peer.ask(
            &json!({"op": "sign", "alg": alg, "jwk": jwk, "header": header, "claims": claims}),
        ))
    }

    fn their_tokens_verify_here(&self, peer: &mut Peer) {
        let mut claims = good_claims();
        let plain = self.signed_by(peer, &json!({"typ": "at+jwt"}), &claims);
        claims["aud"] = json!(["https://other.example", AUDIENCE]);
        let several = self.signed_by(peer, &json!({"typ": "at+jwt"}), &claims);
        for (form, key) in self.verifying_keys() {
            let header = json!({"typ": "at+jwt", "kid": key.key_id()});
            let named = self.signed_by(peer, &header, &good_claims());
            let verifier = verifier(key);
            for token in [&plain, &several, &named] {
                let verified = verifier.verify_local(token);
                let verified =
                    verified.unwrap_or_else(|error| panic!("{} {form}: {error}", self.algorithm));
                assert_eq!(verified.issuer(), Some(ISSUER));
                assert_eq!(verified.subject(), Some("alice"));
                assert_eq!(verified.token_id(), Some("token-1"));
                assert!(verified.has_scope("read"));
                let payload: Value = serde_json::from_str(verified.payload()).unwrap();
                let lifetime = payload["exp"].as_u64().unwrap() - payload["iat"].as_u64().unwrap();
                assert_eq!(lifetime, 600);
                assert_eq!(payload["name"], "Zoë \"\u{1f511}\"");
            }
        }
    }

    fn their_bad_tokens_are_refused_here(&self, peer: &mut Peer) {
        let (_, key) = self.verifying_keys().remove(0);
        let verifier = verifier(key);
        let now = now();
        let typ = json!({"typ": "at+jwt"});
        let bad = [
            (
                "aud",
                json!("https://other.example"),
                AuthErrorKind::InvalidAudience,
            ),
            (
                "iss",
                json!("https://issuer.example/"),
                AuthErrorKind::InvalidIssuer,
            ),
            ("type", json!("refresh"), AuthErrorKind::WrongType),
            ("exp", json!(now - 60), AuthErrorKind::Expired),
            ("nbf", json!(now + 60), AuthErrorKind::NotYetValid),
        ];
        for (claim, value, kind) in bad {
            let mut claims = good_claims();
            claims[claim] = value;
            let token = self.signed_by(peer, &typ, &claims);
            let refused = verifier.verify_local(&token).unwrap_err();
            assert_eq!(refused.kind(), kind, "{} {claim}", self.algorithm);
        }

        let stranger = Self::made_by(peer, self.algorithm);
        let forged = stranger.signed_by(peer, &typ, &good_claims());
        let refused = verifier.verify_local(&forged).unwrap_err();
        assert_eq!(refused.kind(), AuthErrorKind::InvalidSignature);

        let unsigned =
            text(peer.ask(
                &json!({"op": "unsigned", "header": {"typ": "at+jwt"}, "claims": good_claims()}),
            ));
        let refused = verifier.verify_local(&unsigned).unwrap_err();
        assert_eq!(refused.kind(), AuthErrorKind::UnsupportedAlgorithm);
    }

    /// HS256 with the text of the public key as the secret (CVE-2016-10555), and the same key with another
    /// algorithm.
    fn a_public_key_is_no_secret(&self, peer: &mut Peer) {
        let pem = self.document("spki").unwrap();
        let (header, claims) = (json!({"typ": "at+jwt"}), good_claims());
        let forged = text(peer.ask(
            &json!({"op": "confused", "pem": pem, "header": header, "claims": good_claims()}),
        ));
        let other = match self.algorithm {
            Algorithm::RS256 => Some("PS256"),
            Algorithm::RS384 => Some("RS256"),
            Algorithm::RS512 | Algorithm::PS512 => Some("PS384"),
            Algorithm::PS256 | Algorithm::PS384 => Some("RS512"),
            _ => None,
        };
        let jwk = without_alg(&self.private_jwk);
        let stretched = other.map(|alg| {
            text(peer.ask(
                &json!({"op": "sign", "alg": alg, "jwk": jwk, "header": header, "claims": claims}),
            ))
        });
        for (_, key) in self.verifying_keys() {
            for token in [Some(&forged), stretched.as_ref()].into_iter().flatten() {
                let refused = verifier(key.clone()).verify_local(token).unwrap_err();
                assert_eq!(refused.kind(), AuthErrorKind::UnsupportedAlgorithm);
            }
        }
        assert!(VerifyingKey::hs256(pem).is_err());
    }

    fn our_tokens_verify_there(&self, peer: &mut Peer) {
        for (_, key) in self.signing_keys() {
            let token = issued_with(key.clone());
            let mut keys = vec![("jwk", without_alg(&self.public_jwk))];
            keys.extend(self.document("spki").map(|pem| ("pem", json!(pem))));
            if let Some(jwk) = key.verifying_key().to_jwk() {
                let set = KeySet::new([key.verifying_key()]).unwrap().to_jwks();
                keys.extend([("jwk", jwk), ("jwks", set)]);
            }
            for (form, theirs) in keys {
                accepted_there(peer, &key, &token, form, &theirs);
            }
        }
    }

    /// RFC 7638: our default key id, the key that we export, and the id that the peer computes.
    fn thumbprints_agree(&self, peer: &mut Peer) {
        let spki = self.document("spki").unwrap();
        let ours = VerifyingKey::from_pem(self.algorithm, spki).unwrap();
        let exported = ours.to_jwk().unwrap();
        let theirs = peer.ask(&json!({"op": "thumbprint", "jwk": exported}));
        for thumbprint in [&self.documents["thumbprint"], &theirs] {
            // PyJWT does not support it.
            if let Some(thumbprint) = thumbprint.as_str() {
                assert_eq!(ours.key_id(), thumbprint, "{}", self.algorithm);
            }
        }
        for member in ["kty", "crv", "x", "y", "n", "e"] {
            assert_eq!(exported[member], self.public_jwk[member], "{member}");
        }
    }
}

/// The peer knows a key made here only by its public JWK.
fn our_own_keys_load_there(peer: &mut Peer, algorithm: Algorithm) {
    let key = SigningKey::generate(algorithm).unwrap();
    let token = issued_with(key.clone());
    let jwk = key.verifying_key().to_jwk().unwrap();
    let other = SigningKey::generate(algorithm).unwrap().verifying_key();
    let set = KeySet::new([other, key.verifying_key()]).unwrap().to_jwks();
    accepted_there(peer, &key, &token, "jwk", &jwk);
    accepted_there(peer, &key, &token, "jwks", &set);

    let last = token.rfind('.').unwrap() + 1;
    let changed = if token[last..].starts_with('A') {
        'B'
    } else {
        'A'
    };
    let forged = format!("{}{changed}{}", &token[..last], &token[last + 1..]);
    let alg = algorithm.as_str();
    let request = json!({"op": "verify", "alg": alg, "token": forged, "iss": ISSUER, "aud": AUDIENCE, "jwk": jwk});
    assert!(peer.try_ask(&request).is_err(), "a peer that accepts all");
}

fn accepted_there(peer: &mut Peer, key: &SigningKey, token: &str, form: &str, theirs: &Value) {
    let alg = key.algorithm().as_str();
    let read = peer.ask(
        &json!({"op": "verify", "alg": alg, "token": token, "iss": ISSUER, "aud": AUDIENCE, form: theirs}),
    );
    let header = json!({"alg": alg, "typ": "at+jwt", "kid": key.key_id()});
    assert_eq!(read["header"], header, "{form}");
    let claims = &read["claims"];
    assert_eq!(claims["sub"], "alice");
    assert_eq!(claims["type"], "access");
    assert_eq!(claims["scope"], "read write");
    assert_eq!(claims["tenant"], 7);
    assert_eq!(
        claims["exp"].as_u64().unwrap(),
        claims["iat"].as_u64().unwrap() + 900
    );
}

fn issued_with(key: SigningKey) -> String {
    let tokens = TokenIssuer::builder(key).issuer(ISSUER).audience(AUDIENCE);
    let request = tokens.build().unwrap();
    let request = request.access("alice").scope("read write");
    request.claim("tenant", 7).issue().unwrap()
}

fn verifier(key: VerifyingKey) -> TokenVerifier {
    let builder = TokenVerifier::builder()
        .keys(key)
        .issuer(ISSUER)
        .audience(AUDIENCE);
    builder.build().unwrap()
}

fn good_claims() -> Value {
    let now = now();
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": now + 600, "iat": now, "nbf": now,
        "jti": "token-1", "type": "access", "scope": "read", "name": "Zoë \"\u{1f511}\"",
    })
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap().as_secs()
}

fn is_rsa(algorithm: Algorithm) -> bool {
    matches!(&algorithm.as_str()[..2], "RS" | "PS")
}

fn with_alg(jwk: &Value, algorithm: Algorithm) -> String {
    let mut jwk = jwk.clone();
    jwk["alg"] = algorithm.as_str().into();
    jwk.to_string()
}

fn without_alg(jwk: &Value) -> Value {
    let mut jwk = jwk.clone();
    jwk.as_object_mut().unwrap().remove("alg");
    jwk
}

fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => panic!("{other} is not text"),
    }
}
