//! The requests of each case: distinct tokens with about 400 bytes of claims, some of which are bad.

use std::hint::black_box;
use std::time::{Duration, SystemTime};

use axum::http::HeaderValue;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tower_jwt_auth::clock::{Clock as _, ManualClock, SystemClock};
use tower_jwt_auth::{Algorithm, SigningKey, TokenIssuer};

pub const ISSUER: &str = "https://me.example";
pub const AUDIENCE: &str = "api";

/// A secret that is used nowhere else.
pub const SECRET: &[u8; 32] =
    b"\x1f\x8a\x3c\xd2\x91\x07\x5e\xb6\x40\xf9\x2d\x88\x6b\x13\xca\x74\xe5\x39\x0f\xa1\x52\xdc\x68\x97\x24\xbe\x4b\x16\xf3\x80\x7d\x5a";
const RSA: &str = include_str!("../../../tests/keys/rsa2048.pkcs8.pem");

/// The credentials of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// A good token that was not seen before.
    First,
    /// The same good token again and again.
    Repeat,
    /// The good tokens of [`First`](Self::First) once more, one after the other.
    Rotation,
    /// `Bearer not.a.token`.
    Garbage,
    /// A token signed with another key of the same id.
    WrongSignature,
    /// An expired token.
    Expired,
    /// No credentials.
    None,
}

/// The key of one algorithm, and requests for each case.
#[derive(Debug)]
pub struct Tokens {
    pub algorithm: Algorithm,
    pub key: SigningKey,
    distinct: Vec<Credentials>,
    garbage: Credentials,
    wrong: Vec<Credentials>,
    expired: Vec<Credentials>,
}

/// The credentials of a request, also split for contenders that need only a part.
#[derive(Debug)]
pub struct Credentials {
    pub header: HeaderValue,
    pub token: String,
    /// The length of the signed part of the token.
    message: usize,
    pub signature: Vec<u8>,
}

impl Case {
    pub const ALL: [Self; 7] = [
        Self::First,
        Self::Repeat,
        Self::Rotation,
        Self::Garbage,
        Self::WrongSignature,
        Self::Expired,
        Self::None,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::First => "first use",
            Self::Repeat => "repeat, one token",
            Self::Rotation => "repeat, all in rotation",
            Self::Garbage => "garbage",
            Self::WrongSignature => "wrong signature",
            Self::Expired => "expired",
            Self::None => "no token",
        }
    }

    pub fn is_good(self) -> bool {
        matches!(self, Self::First | Self::Repeat | Self::Rotation)
    }
}

impl Tokens {
    /// Makes `count` distinct good tokens, and a few of each bad kind.
    pub fn new(algorithm: Algorithm, count: usize) -> Self {
        let key = signing_key(algorithm);
        let other = match algorithm {
            Algorithm::HS256 => SigningKey::hs256(SECRET.map(|byte| !byte)).unwrap(),
            _ => SigningKey::generate(algorithm).unwrap(),
        };
        let other = other.with_key_id(key.key_id()).unwrap();
        let now = SystemClock.now();
        let long_ago = now - Duration::from_secs(86_400);
        Self {
            algorithm,
            distinct: issue(&key, now, count),
            garbage: Credentials::new("not.a.token".to_owned()),
            wrong: issue(&other, now, 64),
            expired: issue(&key, long_ago, 64),
            key,
        }
    }

    /// Returns the credentials of the `index`th request.
    pub fn credentials(&self, case: Case, index: usize) -> Option<&Credentials> {
        match case {
            Case::First | Case::Rotation => self.distinct.get(index % self.distinct.len()),
            Case::Repeat => self.distinct.first(),
            Case::Garbage => Some(&self.garbage),
            Case::WrongSignature => self.wrong.get(index % self.wrong.len()),
            Case::Expired => self.expired.get(index % self.expired.len()),
            Case::None => None,
        }
    }

    /// Returns the request that [`credentials`](Self::credentials) returns last.
    pub fn last(&self, case: Case) -> Option<&Credentials> {
        self.credentials(case, self.distinct.len() - 1)
    }

    /// Returns the number of good tokens.
    pub fn distinct(&self) -> usize {
        self.distinct.len()
    }
}

impl Credentials {
    fn new(token: String) -> Self {
        let (message, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
        Self {
            header: format!("Bearer {token}").parse().unwrap(),
            message: message.len(),
            signature,
            token,
        }
    }

    /// Loads the tokens into the processor's cache, as a server has just read them from the network.
    pub fn arrive(&self) {
        let lines = self.header.as_bytes().chunks(64);
        black_box(lines.fold(0, |sum: u8, line| sum.wrapping_add(line[0])));
    }

    pub fn message(&self) -> &[u8] {
        &self.token.as_bytes()[..self.message]
    }
}

fn signing_key(algorithm: Algorithm) -> SigningKey {
    let key = match algorithm {
        Algorithm::HS256 => SigningKey::hs256(SECRET),
        Algorithm::RS256 => SigningKey::from_pem(algorithm, RSA),
        _ => SigningKey::generate(algorithm),
    };
    key.and_then(|key| key.with_key_id("2026-01")).unwrap()
}

fn issue(key: &SigningKey, at: SystemTime, count: usize) -> Vec<Credentials> {
    let clock = ManualClock::at_now();
    clock.set(at);
    let tokens = TokenIssuer::builder(key.clone())
        .issuer(ISSUER)
        .audience(AUDIENCE)
        .clock(clock)
        .build()
        .unwrap();
    (0..count)
        .map(|index| {
            let claims = serde_json::json!({
                "email": format!("alice{index}@example.com"),
                "name": "Alice Example",
                "tenant": index,
                "roles": ["reader", "writer"],
                "department": "Research and Development",
                "locale": "en-GB",
            });
            tokens
                .access(format!("user-{index}"))
                .scopes(["read", "write"])
                .claims(claims)
                .issue()
                .map(Credentials::new)
                .unwrap()
        })
        .collect()
}
