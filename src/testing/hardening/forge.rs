//! [`Forge`]: makes the tokens of the attacks, each of which differs from a good token in one respect.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::error::ConfigError;
use crate::keys::{Algorithm, SigningKey, sign_with_any_secret};

pub(super) type Object = Map<String, Value>;
pub(super) type Sign = Arc<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

/// The attacker's HMAC secret, for tokens that name a file in which it could be found.
pub(super) const ATTACKER_SECRET: &[u8] = b"attacker-secret-attacker-secret-";

pub(super) struct Forge {
    pub(super) good: String,
    pub(super) header: Object,
    pub(super) claims: Object,
    sign: Sign,
    /// A key that the service has never seen, for the same algorithm as its own keys.
    stranger: SigningKey,
    /// A key whose public half can be put into a token.
    pub(super) attacker: SigningKey,
}

// === impl Forge ===

impl Forge {
    pub(super) fn new(good: &str, sign: Sign) -> Result<Self, ConfigError> {
        let (header, claims) = take_apart(good).ok_or_else(|| {
            ConfigError::invalid(
                "the token that the attacks are made from is not a signed JWT: give one that the service accepts",
            )
        })?;
        let alg = header.get("alg").cloned().unwrap_or_default();
        let algorithm: Algorithm = serde_json::from_value(alg).unwrap_or(Algorithm::ES256);
        Ok(Self {
            good: good.to_owned(),
            header,
            claims,
            sign,
            stranger: SigningKey::generate(algorithm)?,
            attacker: SigningKey::generate(Algorithm::ES256)?,
        })
    }

    /// Returns the time at which the good token was issued, in seconds since the epoch.
    pub(super) fn issued_at(&self) -> i64 {
        let time = |name, before| {
            let time = self.claims.get(name)?.as_f64()?;
            #[allow(clippy::cast_possible_truncation)]
            Some(time as i64 - before)
        };
        time("iat", 0).or_else(|| time("exp", 60)).unwrap_or(0)
    }

    pub(super) fn alg(&self) -> &str {
        self.header
            .get("alg")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// Returns whether the header's `typ` says that it is an access token (RFC 9068 section 2.1).
    pub(super) fn says_access(&self) -> bool {
        let typ = self.header.get("typ").and_then(Value::as_str);
        typ.is_some_and(|typ| typ.to_ascii_lowercase().ends_with("at+jwt"))
    }

    /// Returns a token with the service's own signature.
    pub(super) fn signed(&self, header: &Object, claims: &Object) -> String {
        self.signed_text(&text(header), text(claims))
    }

    pub(super) fn signed_text(&self, header: &str, claims: impl AsRef<[u8]>) -> String {
        let message = message(header, claims.as_ref());
        with_signature(&message, &(self.sign)(message.as_bytes()))
    }

    /// Returns a token with the good header, changed claims and the service's own signature.
    pub(super) fn with_claims(&self, changes: &[(&str, Value)]) -> String {
        self.signed(&self.header, &changed(&self.claims, changes))
    }

    /// Returns a token with a changed header, the good claims and the service's own signature.
    pub(super) fn with_header(&self, changes: &[(&str, Value)]) -> String {
        self.signed(&changed(&self.header, changes), &self.claims)
    }

    /// Returns a token with a changed header, signed with a key of the right kind that nobody trusts.
    pub(super) fn of_stranger(&self, changes: &[(&str, Value)]) -> String {
        let header = changed(&self.header, changes);
        signed_by(&self.stranger, &text(&header), &text(&self.claims))
    }

    /// Does the same for any text as the header and the claims.
    pub(super) fn text_of_stranger(&self, header: &str, claims: &str) -> String {
        signed_by(&self.stranger, header, claims)
    }

    /// Returns a token that names the key it is signed with, which is the attacker's.
    pub(super) fn of_attacker(&self, changes: &[(&str, Value)]) -> String {
        let header = changed(&self.header, changes);
        let header = changed(&header, &[("alg", "ES256".into())]);
        signed_by(&self.attacker, &text(&header), &text(&self.claims))
    }

    /// Returns a token with an HMAC by any secret.
    pub(super) fn by_secret(
        &self,
        algorithm: Algorithm,
        secret: &[u8],
        changes: &[(&str, Value)],
    ) -> String {
        let header = changed(&self.header, changes);
        let header = changed(&header, &[("alg", algorithm.as_str().into())]);
        let message = message(&text(&header), text(&self.claims).as_bytes());
        let signature = sign_with_any_secret(algorithm, secret, message.as_bytes());
        with_signature(&message, &signature)
    }

    /// Returns a token with a changed header, the good claims and this signature.
    pub(super) fn with(&self, changes: &[(&str, Value)], signature: &[u8]) -> String {
        let header = changed(&self.header, changes);
        with_signature(
            &message(&text(&header), text(&self.claims).as_bytes()),
            signature,
        )
    }

    /// Returns the signed part of the good token, and its signature.
    pub(super) fn halves(&self) -> (&str, Vec<u8>) {
        let (message, signature) = self.good.rsplit_once('.').unwrap_or_default();
        (
            message,
            URL_SAFE_NO_PAD.decode(signature).unwrap_or_default(),
        )
    }
}

/// Returns the header and the claims of a token, without verifying the signature.
fn take_apart(token: &str) -> Option<(Object, Object)> {
    let mut parts = token.split('.');
    let mut next = || serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts.next()?).ok()?).ok();
    let (header, claims) = (next()?, next()?);
    (parts.count() == 1).then_some((header, claims))
}

/// Returns the object with these members changed. `null` removes a member.
pub(super) fn changed(object: &Object, changes: &[(&str, Value)]) -> Object {
    let mut object = object.clone();
    for (name, value) in changes {
        if value.is_null() {
            object.remove(*name);
        } else {
            object.insert((*name).to_owned(), value.clone());
        }
    }
    object
}

pub(super) fn text(object: &Object) -> String {
    json!(object).to_string()
}

fn message(header: &str, claims: &[u8]) -> String {
    let base64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    format!("{}.{}", base64(header.as_bytes()), base64(claims))
}

pub(super) fn with_signature(message: &str, signature: &[u8]) -> String {
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn signed_by(key: &SigningKey, header: &str, claims: &str) -> String {
    let message = message(header, claims.as_bytes());
    with_signature(&message, &key.sign(message.as_bytes()).unwrap_or_default())
}
