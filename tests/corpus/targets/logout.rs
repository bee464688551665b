//! Logout tokens of identity providers, and the forms that contain them: each token that is accepted also passes
//! an independent check of OpenID Connect Back-Channel Logout section 2.6.

use std::collections::HashMap;
use std::sync::LazyLock;

use http::header::CONTENT_TYPE;
use http::{Request, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::runtime::{Builder, Runtime};
use tower::Service as _;
use tower_jwt_auth::TokenVerifier;
use tower_jwt_auth::backchannel_logout::BackchannelLogout;
use tower_jwt_auth::revocation::{Revocation, RevocationQuery, RevocationStore};
use tower_jwt_auth::store::StoreError;
use tower_jwt_auth::verifier::TokenProfile;

use super::first_line;
use super::signer::HS256;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
const GOOD_HEADER: &[u8] = br#"{"alg":"HS256","kid":"k1","typ":"logout+jwt"}"#;
const GOOD_CLAIMS: &[u8] = br#"{"iss":"me","aud":"client","iat":1700000000,"exp":4000000000,"jti":"l1","sub":"alice","events":{"http://schemas.openid.net/event/backchannel-logout":{}}}"#;

/// Not a `Value`, as which `serde_json` reads an object with a member for its own use as what that member says.
#[derive(Deserialize)]
struct Events<'a> {
    #[serde(borrow)]
    events: HashMap<String, &'a RawValue>,
}

/// A store that forgets everything, so that no number of inputs fills the memory.
#[derive(Debug)]
struct Forgetful;

impl RevocationStore for Forgetful {
    async fn revoke(&self, _: &[Revocation]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn is_revoked(&self, _: &RevocationQuery<'_>) -> Result<bool, StoreError> {
        Ok(false)
    }
}

static SERVICE: LazyLock<BackchannelLogout> = LazyLock::new(|| {
    let verifier = TokenVerifier::builder()
        .keys(HS256.key.verifying_key())
        .issuer("me")
        .audience("client")
        .profile(TokenProfile::LogoutToken);
    BackchannelLogout::builder(verifier.build().unwrap(), Forgetful)
        .build()
        .unwrap()
});

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().unwrap());

static GOOD_TOKEN: LazyLock<String> = LazyLock::new(|| HS256.token(GOOD_HEADER, GOOD_CLAIMS));

/// Reads a header, a line feed, and claims.
pub(super) fn token(data: &[u8]) {
    let (header, claims) = first_line(data);
    let token = HS256.token(header, claims);
    let acted = RUNTIME.block_on(SERVICE.log_out(&token));
    if acted.is_err() {
        return;
    }
    let header: Map<String, Value> = serde_json::from_slice(header).unwrap();
    let text = claims;
    let claims: Map<String, Value> = serde_json::from_slice(text).unwrap();
    assert_eq!(header["alg"], "HS256");
    assert_eq!(claims["iss"], "me");
    let aud = &claims["aud"];
    let is_for_us = |aud: &Value| aud == "client";
    assert!(is_for_us(aud) || aud.as_array().unwrap().iter().any(is_for_us));
    assert!(claims["iat"].is_number() && claims["exp"].is_number());
    assert!(claims["jti"].is_string());
    let has = |name: &str| claims.get(name).is_some_and(Value::is_string);
    assert!(has("sub") || has("sid"));
    assert!(!claims.contains_key("nonce"));
    let Events { events } = serde_json::from_slice(text).unwrap();
    assert!(events[EVENT].get().starts_with('{'));
}

/// Reads the body of a request, in which `$` stands for a good token.
pub(super) fn form(data: &[u8]) {
    let token = &**GOOD_TOKEN;
    let mut body = Vec::new();
    for (index, part) in data.split(|&byte| byte == b'$').enumerate() {
        if index > 0 {
            body.extend_from_slice(token.as_bytes());
        }
        body.extend_from_slice(part);
    }
    let request = Request::post("/")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(String::from_utf8_lossy(&body).into_owned())
        .unwrap();
    let text = request.body().clone();
    let response = RUNTIME.block_on(SERVICE.clone().call(request)).unwrap();
    let fields = fields(&text);
    let named: Vec<_> = fields
        .iter()
        .filter(|(name, _)| name == b"logout_token")
        .collect();
    let is_good = matches!(&*named, [(_, value)] if value == token.as_bytes());
    let expected = if is_good {
        StatusCode::OK
    } else {
        StatusCode::BAD_REQUEST
    };
    // A body that is too long is refused, whatever is in it.
    if text.len() <= 16 * 1024 {
        assert_eq!(response.status(), expected, "{text:?}");
    }
}

/// Returns the fields of a form, as the URL Standard reads them.
fn fields(text: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let decode = |text: &str| {
        let bytes = text.as_bytes();
        let mut decoded = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let hex = bytes.get(at + 1..at + 3);
            let hex = hex.filter(|hex| hex.iter().all(u8::is_ascii_hexdigit));
            let hex = hex.and_then(|hex| std::str::from_utf8(hex).ok());
            match (bytes[at], hex) {
                (b'+', _) => decoded.push(b' '),
                (b'%', Some(hex)) => {
                    decoded.push(u8::from_str_radix(hex, 16).unwrap());
                    at += 2;
                }
                (other, _) => decoded.push(other),
            }
            at += 1;
        }
        decoded
    };
    let fields = text.split('&').filter(|field| !field.is_empty());
    let fields = fields.map(|field| field.split_once('=').unwrap_or((field, "")));
    fields
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}
