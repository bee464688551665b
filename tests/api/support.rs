//! Helpers that the tests share: a secret, hand-made tokens, a service that shows what reached it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use http::{HeaderMap, Request, Response, StatusCode};
use sha2::Sha256;
use tower::{ServiceExt, service_fn};
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::issuer::TokenIssuerBuilder;
use tower_jwt_auth::{KeyRing, SigningKey, TokenIssuer, TokenVerifier, VerifiedToken};

/// 2026-01-01T00:00:00Z
pub const NOW: u64 = 1_767_225_600;

pub const SECRET: &[u8] = b"\x1f\x8a\x3c\xd2\x91\x07\x5e\xb6\x40\xf9\x2d\x88\x6b\x13\xca\x74\
\xe5\x39\x0f\xa1\x52\xdc\x68\x97\x24\xbe\x4b\x16\xf3\x80\x7d\x5a";

pub fn key() -> SigningKey {
    SigningKey::hs256(SECRET).unwrap()
}

/// An issuer `me` for the audience `api`, with its clock at [`NOW`].
pub fn builder() -> (TokenIssuerBuilder, ManualClock) {
    let clock = ManualClock::at_unix_seconds(NOW);
    (
        TokenIssuer::builder(key())
            .issuer("me")
            .audience("api")
            .clock(clock.clone()),
        clock,
    )
}

/// An issuer `me` for the audience `api` that signs with a ring.
pub fn ring_issuer(ring: &KeyRing, clock: &ManualClock) -> TokenIssuer {
    TokenIssuer::builder(ring.clone())
        .issuer("me")
        .audience("api")
        .clock(clock.clone())
        .build()
        .unwrap()
}

pub fn tokens() -> TokenIssuer {
    builder().0.build().unwrap()
}

/// A verifier that accepts what [`signed`] makes from [`claims`].
pub fn verifier() -> TokenVerifier {
    tokens().verifier()
}

/// A token with exactly this header and this payload, signed with [`SECRET`].
pub fn signed(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    signed_with(SECRET, header, payload)
}

pub fn signed_with(secret: &[u8], header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    let message = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(payload)
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    mac.update(message.as_bytes());
    format!(
        "{message}.{}",
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    )
}

/// A good payload, with `more` members before its end.
pub fn claims(more: &str) -> String {
    format!(
        r#"{{"iss":"me","aud":"api","sub":"alice","type":"access","jti":"j1","iat":{NOW},"exp":{}{more}}}"#,
        NOW + 900
    )
}

pub fn request(headers: &[(&str, &str)]) -> Request<String> {
    let mut request = Request::new(String::new());
    for (name, value) in headers {
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
    }
    request
}

pub fn bearer(token: &str) -> Request<String> {
    request(&[("authorization", &format!("Bearer {token}"))])
}

/// The part of a response that a test compares.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    pub status: StatusCode,
    pub challenges: Vec<String>,
    pub body: String,
    pub headers: HeaderMap,
}

impl Seen {
    pub fn of(response: Response<String>) -> Self {
        let (parts, body) = response.into_parts();
        let challenges = parts.headers.get_all("www-authenticate").iter();
        Self {
            status: parts.status,
            challenges: challenges
                .map(|value| value.to_str().unwrap().to_owned())
                .collect(),
            body,
            headers: parts.headers,
        }
    }

    /// The status and the challenge in one text, such as `401 Bearer realm="api"`.
    pub fn verdict(&self) -> String {
        let mut text = self.status.as_u16().to_string();
        for challenge in &self.challenges {
            text.push(' ');
            text.push_str(challenge);
        }
        text
    }
}

/// Sends a request through `layer` to a service that responds with the subject that reached it.
pub async fn send<L>(layer: &L, request: Request<String>) -> Seen
where
    L: tower::Layer<Probe>,
    L::Service: tower::Service<
            Request<String>,
            Response = Response<String>,
            Error = std::convert::Infallible,
        >,
{
    Seen::of(layer.layer(probe()).oneshot(request).await.unwrap())
}

pub type Probe =
    tower::util::BoxCloneSyncService<Request<String>, Response<String>, std::convert::Infallible>;

pub fn probe() -> Probe {
    Probe::new(service_fn(async |request: Request<String>| {
        let token = request.extensions().get::<VerifiedToken>();
        let subject = token.map_or("nobody", |token| token.subject().unwrap_or("no sub"));
        Ok(Response::new(subject.to_owned()))
    }))
}
