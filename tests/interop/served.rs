//! The JWK set that a ring serves, fetched by the clients of the peers; and its file, which peers read and
//! write.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tower_jwt_auth::jwks::{JWKS_PATH, JwksService};
use tower_jwt_auth::{Algorithm, KeyRing, SigningKey, TokenVerifier};

use crate::peer::Peer;
use crate::{AUDIENCE, ISSUER, accepted_there, good_claims, issued_with};

/// It is fetched from a real server, because clients check more than the body.
pub(crate) fn served_keys_verify_there(peer: &mut Peer) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ring = KeyRing::new(SigningKey::generate(Algorithm::ES256).unwrap());
    let next = SigningKey::generate(Algorithm::EdDSA).unwrap();
    let later = SystemTime::now() + Duration::from_secs(3600);
    ring.add(&next, later).unwrap();

    let service = JwksService::new(&ring);
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
    let listener = listener.unwrap();
    let url = format!("http://{}{JWKS_PATH}", listener.local_addr().unwrap());
    let app: axum::Router = axum::Router::new().route_service(JWKS_PATH, service);
    runtime.spawn(async { axum::serve(listener, app).await });

    // The key that signs and the key that waits, and both again after they have changed places.
    let old = ring.signing_key().unwrap();
    for key in [&old, &next] {
        accepted_there(
            peer,
            key,
            &issued_with(key.clone()),
            "jwks_url",
            &json!(url),
        );
    }
    ring.activate(next.key_id()).unwrap();
    let token = issued_with(old.clone());
    accepted_there(peer, &old, &token, "jwks_url", &json!(url));
    ring.remove(old.key_id()).unwrap();
    let request = json!({"op": "verify", "alg": "ES256", "token": token, "iss": ISSUER, "aud": AUDIENCE, "jwks_url": url});
    assert!(peer.try_ask(&request).is_err(), "a removed key");
}

/// A file of keys is a plain JWK set: the peer signs with a key of it, and we sign with a key of the peer.
pub(crate) fn key_files_are_shared(peer: &mut Peer, algorithm: Algorithm) {
    let path = scratch();
    let ring = KeyRing::builder().file(&path).auto_rotate(algorithm);
    let ring = ring.build().unwrap();
    let mut file: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let (alg, kid) = (algorithm.as_str(), file["keys"][0]["kid"].clone());
    let header = json!({"typ": "at+jwt", "kid": kid});
    let request = json!({"op": "sign", "alg": alg, "jwk": file["keys"][0], "header": header, "claims": good_claims()});
    let token = peer.ask(&request);
    let verifier = TokenVerifier::builder().key_source(ring.clone());
    let verifier = verifier.issuer(ISSUER).audience(AUDIENCE).build().unwrap();
    verifier.verify_local(token.as_str().unwrap()).unwrap();

    let theirs = peer.ask(&json!({"op": "keys", "alg": alg}));
    let mut jwk = theirs["private_jwk"].clone();
    jwk["alg"] = alg.into();
    jwk["nbf"] = 1_700_000_000.into();
    file["keys"] = json!([jwk]);
    std::fs::write(&path, file.to_string()).unwrap();
    assert!(ring.reload().unwrap());
    let key = ring.signing_key().unwrap();
    let token = issued_with(key.clone());
    accepted_there(peer, &key, &token, "jwk", &theirs["public_jwk"]);
    std::fs::remove_file(&path).unwrap();
    let _ = std::fs::remove_file(path.with_extension("json.lock"));
}

fn scratch() -> PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    folder.join(format!("ring-{}-{number}.json", std::process::id()))
}
