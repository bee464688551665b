//! Signs the input of the fuzzer, so that the checks behind the signature are reached.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use tower_jwt_auth::SigningKey;

/// A key, as this crate and as `jsonwebtoken` represent it.
pub(super) struct Signer {
    pub(super) key: SigningKey,
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
    encoding: EncodingKey,
}

/// The private and the public key of RFC 8037 appendix A.1.
pub(super) const ED_D: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
pub(super) const ED_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

pub(super) static HS256: LazyLock<Signer> = LazyLock::new(|| {
    let secret = *b"\x92\x1f\xc4\x08\x5e\xd7\x3a\x66\xb1\x0c\xf9\x47\x2d\x8e\xa3\x70\x15\xe8\x9b\x34\xcf\x51\x06\xda\x7d\xbe\x29\x83\x4a\xf0\x17\x6c";
    Signer::new(
        SigningKey::hs256(secret).unwrap(),
        Algorithm::HS256,
        DecodingKey::from_secret(&secret),
        EncodingKey::from_secret(&secret),
    )
});

pub(super) static EDDSA: LazyLock<Signer> = LazyLock::new(|| {
    let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{ED_X}","d":"{ED_D}"}}"#);
    // RFC 8410 section 7: the bytes before the key in PKCS #8.
    let mut der = vec![48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];
    der.extend(URL_SAFE_NO_PAD.decode(ED_D).unwrap());
    Signer::new(
        SigningKey::from_jwk(&jwk).unwrap(),
        Algorithm::EdDSA,
        DecodingKey::from_ed_components(ED_X).unwrap(),
        EncodingKey::from_ed_der(&der),
    )
});

// === impl Signer ===

impl Signer {
    fn new(
        key: SigningKey,
        algorithm: Algorithm,
        decoding: DecodingKey,
        encoding: EncodingKey,
    ) -> Self {
        // If both back ends are enabled, `jsonwebtoken` must be told which one to use.
        #[cfg(feature = "aws-lc-rs")]
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        #[cfg(not(feature = "aws-lc-rs"))]
        let _ = jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER.install_default();
        Self {
            key: key.with_key_id("k1").unwrap(),
            algorithm,
            decoding,
            encoding,
        }
    }

    /// Returns a token with this header and these claims, whatever they are.
    pub(super) fn token(&self, header: &[u8], claims: &[u8]) -> String {
        let mut token = URL_SAFE_NO_PAD.encode(header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        self.signed(token)
    }

    /// Returns a token with these first two parts.
    pub(super) fn signed(&self, mut message: String) -> String {
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &self.encoding, self.algorithm);
        message.push('.');
        message.push_str(&signature.unwrap());
        message
    }
}
