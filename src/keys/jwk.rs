//! JSON Web Keys (RFC 7517, RFC 7518 section 6, RFC 8037): reads them strictly, writes them, and computes
//! thumbprints.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::ThumbprintHash;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::algorithm::Family;
use super::backend::{PROVIDER, PrivateNumbers, PublicNumbers};
use crate::error::ConfigError;
use crate::keys::Algorithm;

type Secret = Zeroizing<String>;

/// The members of a JWK that matter.
#[derive(Deserialize)]
pub(super) struct Jwk {
    kty: String,
    alg: Option<String>,
    #[serde(rename = "use")]
    public_key_use: Option<String>,
    key_ops: Option<Vec<String>>,
    kid: Option<String>,
    /// Further prime factors (RFC 7518 section 6.3.2.7).
    oth: Option<IgnoredAny>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<Secret>,
    d: Option<Secret>,
    p: Option<Secret>,
    q: Option<Secret>,
    dp: Option<Secret>,
    dq: Option<Secret>,
    qi: Option<Secret>,
}

/// The key in a JWK.
pub(super) enum JwkMaterial<P> {
    Secret(Zeroizing<Vec<u8>>),
    Key(P),
}

// === impl Jwk ===

impl Jwk {
    pub(super) fn parse(json: &str) -> Result<Self, ConfigError> {
        let json = json.trim_start_matches('\u{feff}');
        serde_json::from_str(json).map_err(|_| unreadable(json))
    }

    /// Sets the algorithm of the key if it does not name one itself.
    pub(super) fn or_algorithm(mut self, algorithm: Option<Algorithm>) -> Self {
        self.alg = self
            .alg
            .or(algorithm.map(|algorithm| algorithm.as_str().to_owned()));
        self
    }

    /// Whether the key has a secret member (RFC 7518 sections 6.2.2, 6.3.2 and 6.4.1).
    pub(super) fn has_secret(&self) -> bool {
        let secrets = [
            &self.k, &self.d, &self.p, &self.q, &self.dp, &self.dq, &self.qi,
        ];
        self.oth.is_some() || secrets.iter().any(|member| member.is_some())
    }

    pub(super) fn key_id(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Returns the one algorithm of the key: its `alg` or, without one, that of its curve, or RS256 for RSA.
    pub(super) fn algorithm(&self) -> Result<Algorithm, ConfigError> {
        if let Some(alg) = &self.alg {
            return alg.parse();
        }
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => Ok(Algorithm::RS256),
            ("EC", Some("P-256")) => Ok(Algorithm::ES256),
            ("EC", Some("P-384")) => Ok(Algorithm::ES384),
            ("OKP", Some("Ed25519")) => Ok(Algorithm::EdDSA),
            ("oct", _) => Err(unfit("needs an `alg` member, such as \"HS256\"")),
            (kty, Some(crv)) => Err(wrong(&format!(
                "has `kty` `{}` and `crv` `{}`, which are not supported: {SUPPORTED}",
                shown(kty),
                shown(crv)
            ))),
            (kty, None) => Err(wrong(&format!(
                "has `kty` `{}` and no `crv`, which is not supported: {SUPPORTED}",
                shown(kty)
            ))),
        }
    }

    /// Returns the key to verify with. A private key is refused, because it does not belong to a service that
    /// only verifies tokens.
    pub(super) fn verifying(&self) -> Result<JwkMaterial<PublicNumbers>, ConfigError> {
        self.check_use("verify")?;
        if self.d.is_some() || self.p.is_some() || self.q.is_some() {
            return Err(unfit(
                "is a private key where a public key is expected: remove `d` and the other private members",
            ));
        }
        self.read(Self::public)
    }

    /// Returns the key to sign with.
    pub(super) fn signing(&self) -> Result<JwkMaterial<PrivateNumbers>, ConfigError> {
        self.check_use("sign")?;
        self.read(|jwk, family| {
            let public = jwk.public(family)?;
            let Some(d) = jwk.d.as_deref() else {
                return Err(unfit(
                    "is a public key where a private key is expected: it needs its private member `d` to sign",
                ));
            };
            let d = bytes("d", Some(d), "")?;
            Ok(match public {
                PublicNumbers::Ec { point } => PrivateNumbers::Ec { d, point },
                PublicNumbers::Ed { x } => PrivateNumbers::Ed { d, x },
                PublicNumbers::Rsa { n, e } => {
                    let member = |name: &'static str, value: &Option<Secret>| {
                        let reason = "needs all of `p`, `q`, `dp`, `dq` and `qi` to sign";
                        bytes(name, value.as_deref(), reason)
                    };
                    PrivateNumbers::Rsa {
                        n,
                        e,
                        d,
                        p: member("p", &jwk.p)?,
                        q: member("q", &jwk.q)?,
                        dp: member("dp", &jwk.dp)?,
                        dq: member("dq", &jwk.dq)?,
                        qi: member("qi", &jwk.qi)?,
                    }
                }
            })
        })
    }

    fn read<P>(
        &self,
        key: impl FnOnce(&Self, Family) -> Result<P, ConfigError>,
    ) -> Result<JwkMaterial<P>, ConfigError> {
        let algorithm = self.algorithm()?;
        let (family, kty) = match algorithm.family() {
            Family::Hmac => (Family::Hmac, "oct"),
            Family::Rsa => (Family::Rsa, "RSA"),
            Family::Ec => (Family::Ec, "EC"),
            Family::Ed => (Family::Ed, "OKP"),
        };
        if self.kty != kty {
            return Err(wrong(&format!(
                "has `kty` `{}`, but keys for {algorithm} have `kty` `{kty}`",
                shown(&self.kty)
            )));
        }
        if family == Family::Hmac {
            return Ok(JwkMaterial::Secret(bytes(
                "k",
                self.k.as_deref(),
                "needs a member `k`",
            )?));
        }
        let crv = match algorithm {
            Algorithm::ES256 => Some("P-256"),
            Algorithm::ES384 => Some("P-384"),
            Algorithm::EdDSA | Algorithm::Ed25519 => Some("Ed25519"),
            _ => None,
        };
        if crv.is_some() && self.crv.as_deref() != crv {
            return Err(wrong(&format!(
                "has `crv` `{}`, but keys for {algorithm} have `crv` `{}`",
                shown(self.crv.as_deref().unwrap_or_default()),
                crv.unwrap_or_default()
            )));
        }
        key(self, family).map(JwkMaterial::Key)
    }

    fn public(&self, family: Family) -> Result<PublicNumbers, ConfigError> {
        let member = |name, value: &Option<String>, reason| {
            bytes(name, value.as_ref(), reason).map(|bytes| bytes.to_vec())
        };
        match family {
            Family::Rsa => {
                let reason = "needs the members `n` and `e`";
                Ok(PublicNumbers::Rsa {
                    n: member("n", &self.n, reason)?,
                    e: member("e", &self.e, reason)?,
                })
            }
            Family::Ec => {
                let reason = "needs the members `x` and `y`";
                let (x, y) = (member("x", &self.x, reason)?, member("y", &self.y, reason)?);
                if x.len() != y.len() {
                    return Err(unfit("has coordinates of different lengths"));
                }
                Ok(PublicNumbers::Ec {
                    point: [&[4][..], &x, &y].concat(),
                })
            }
            Family::Ed => Ok(PublicNumbers::Ed {
                x: member("x", &self.x, "needs a member `x`")?,
            }),
            Family::Hmac => Err(unfit("is symmetric")),
        }
    }

    /// Refuses a key that is meant for another use (RFC 7517 sections 4.2 and 4.3).
    fn check_use(&self, operation: &str) -> Result<(), ConfigError> {
        if let Some(meant) = self.public_key_use.as_deref().filter(|&one| one != "sig") {
            return Err(wrong(&format!(
                "is not meant for signatures: its `use` is `{}`, expected `sig` or no `use`",
                shown(meant)
            )));
        }
        if self
            .key_ops
            .as_ref()
            .is_some_and(|ops| !ops.iter().any(|one| one == operation))
        {
            return Err(wrong(&format!(
                "is not meant for this: its `key_ops` lack `{operation}`"
            )));
        }
        Ok(())
    }
}

/// Returns the public JWK of a key without `kid`, `use` and `alg`, from which the thumbprint is computed.
pub(super) fn required_members(key: &PublicNumbers) -> Value {
    let base64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    match key {
        PublicNumbers::Rsa { n, e } => json!({"e": base64(e), "kty": "RSA", "n": base64(n)}),
        PublicNumbers::Ec { point } => {
            let half = point.len() / 2;
            let crv = if half == 32 { "P-256" } else { "P-384" };
            let (x, y) = (base64(&point[1..=half]), base64(&point[half + 1..]));
            json!({"crv": crv, "kty": "EC", "x": x, "y": y})
        }
        PublicNumbers::Ed { x } => json!({"crv": "Ed25519", "kty": "OKP", "x": base64(x)}),
    }
}

/// Computes the SHA-256 thumbprint of RFC 7638. Its members must be in lexicographic order, as JSON maps are
/// here.
pub(super) fn thumbprint(key: &PublicNumbers) -> Result<String, ConfigError> {
    let text = required_members(key).to_string();
    digest(text.as_bytes()).ok_or_else(|| unfit("could not be hashed"))
}

/// Computes the SHA-256, as base64url.
pub(crate) fn digest(bytes: &[u8]) -> Option<String> {
    sha256(bytes).map(|digest| URL_SAFE_NO_PAD.encode(digest))
}

/// Computes the SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> Option<[u8; 32]> {
    let digest = (PROVIDER.key_utils.compute_digest)(bytes, ThumbprintHash::SHA256);
    digest.ok()?.try_into().ok()
}

/// Writes a private key as a JWK. Its secret members are written only to one buffer, which is wiped when
/// dropped.
pub(super) fn private_jwk(
    key: &PrivateNumbers,
    public: &PublicNumbers,
    algorithm: Algorithm,
    key_id: &str,
) -> Result<Secret, ConfigError> {
    let secrets: Vec<(&str, &[u8])> = match key {
        PrivateNumbers::Der(_) => return Err(unfit("could not be taken apart")),
        PrivateNumbers::Ec { d, .. } | PrivateNumbers::Ed { d, .. } => vec![("d", d)],
        PrivateNumbers::Rsa {
            d,
            p,
            q,
            dp,
            dq,
            qi,
            ..
        } => vec![
            ("d", d),
            ("p", p),
            ("q", q),
            ("dp", dp),
            ("dq", dq),
            ("qi", qi),
        ],
    };
    let mut members = required_members(public);
    members["alg"] = algorithm.as_str().into();
    members["kid"] = key_id.into();
    members["use"] = "sig".into();
    Ok(with_secrets(&members, &secrets))
}

/// Writes an HMAC secret as a JWK.
pub(super) fn secret_jwk(secret: &[u8], algorithm: Algorithm, key_id: &str) -> Secret {
    let members = json!({
        "kty": "oct", "alg": algorithm.as_str(), "kid": key_id, "use": "sig",
    });
    with_secrets(&members, &[("k", secret)])
}

/// Writes the JSON of `members`, and the `secrets` in base64url.
fn with_secrets(members: &Value, secrets: &[(&str, &[u8])]) -> Secret {
    let public = members.to_string();
    // Allocates enough at once, because growing would leave copies of the secrets in memory.
    let room: usize = secrets.iter().map(|(_, bytes)| bytes.len() * 2 + 16).sum();
    let mut text = Secret::new(String::with_capacity(public.len() + room));
    text.push_str(public.trim_end_matches('}'));
    for (name, bytes) in secrets {
        text.push_str(",\"");
        text.push_str(name);
        text.push_str("\":\"");
        URL_SAFE_NO_PAD.encode_string(bytes, &mut text);
        text.push('"');
    }
    text.push('}');
    text
}

fn bytes(
    name: &str,
    value: Option<&String>,
    reason: &'static str,
) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
    let text = value.ok_or_else(|| unfit(reason))?;
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| {
        let cause = if text.contains(['+', '/']) {
            "it has a `+` or `/`, so it is the other base64: write `-` for `+`, `_` for `/`, and no `=`"
        } else if text.ends_with('=') {
            "it ends with the padding `=`: take that off"
        } else if text.contains(char::is_whitespace) {
            "it has white space in it: take that out"
        } else {
            "it has a character outside of the alphabet, or was cut: copy all of it"
        };
        wrong(&format!(
            "has a member `{name}` that is not base64url without padding (RFC 7515 section 2): {cause}"
        ))
    })?;
    Ok(Zeroizing::new(bytes))
}

/// Says what a text that is not a JWK is instead. The parser's own message is not used, because it may quote
/// the key.
fn unreadable(text: &str) -> ConfigError {
    const TEXTS: [&str; 16] = [
        "alg", "use", "kid", "crv", "n", "e", "x", "y", "k", "d", "p", "q", "dp", "dq", "qi", "kty",
    ];
    let value = match serde_json::from_str::<Value>(text) {
        Ok(value) => value,
        Err(_) if text.trim().is_empty() => return unfit("is empty: give a JSON object"),
        Err(_) if text.contains("-----BEGIN ") => {
            return unfit("is PEM, not JSON: load it with `from_pem`");
        }
        Err(error) => {
            return wrong(&format!(
                "is not JSON (line {}, column {}): expected an object with the member `kty` (RFC 7517 \
                 section 4)",
                error.line(),
                error.column()
            ));
        }
    };
    let Value::Object(members) = value else {
        return unfit(
            "is not a JSON object: expected one with the member `kty` (RFC 7517 section 4)",
        );
    };
    if members.contains_key("keys") {
        return unfit(
            "is a set of keys, where one key is expected: load it with `KeySet::from_jwks`, or take one \
             key out of its array `keys`",
        );
    }
    if !members.contains_key("kty") {
        return unfit("has no member `kty`, such as \"EC\" (RFC 7517 section 4)");
    }
    let is_wrong = |name: &&&str| members.get(**name).is_some_and(|value| !value.is_string());
    match TEXTS.iter().find(is_wrong) {
        Some(name) => wrong(&format!(
            "has a member `{name}` that is not a string: put it in quotes"
        )),
        None => unfit("has a duplicate member, or a `key_ops` that is not an array of strings"),
    }
}

const SUPPORTED: &str = "use an RSA key, an EC key with P-256 or P-384, or an OKP key with Ed25519";

/// Escapes and shortens a text from a key for an error message.
pub(crate) fn shown(text: &str) -> String {
    text.chars()
        .take(64)
        .flat_map(char::escape_default)
        .take(64)
        .collect()
}

fn wrong(reason: &str) -> ConfigError {
    ConfigError::Invalid(format!("the JSON Web key {reason}"))
}

const fn unfit(reason: &'static str) -> ConfigError {
    ConfigError::InvalidKey {
        algorithm: "JSON Web",
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::{Jwk, JwkMaterial, thumbprint};

    #[test]
    fn the_thumbprints_of_rfc_7638_and_rfc_8037() {
        let keys = [
            // RFC 7638 section 3.1
            (
                r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#,
                "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
            ),
            // RFC 8037 appendix A.3
            (
                r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
                "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
            ),
        ];
        for (jwk, expected) in keys {
            let Ok(JwkMaterial::Key(key)) = Jwk::parse(jwk).unwrap().verifying() else {
                panic!("a public key")
            };
            assert_eq!(thumbprint(&key).unwrap(), expected);
        }
    }
}
