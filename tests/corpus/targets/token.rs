//! Tokens in compact form: `jsonwebtoken` accepts each token that this crate accepts, with the same policy, and
//! reads the same claims.

use std::sync::LazyLock;

use jsonwebtoken::{TokenData, Validation, decode};
use serde_json::{Map, Value};
use tower_jwt_auth::dangerous::{decode_unverified, expires_at};
use tower_jwt_auth::verifier::{TokenProfile, TokenVerifierBuilder};
use tower_jwt_auth::{TokenVerifier, VerifiedToken};

use super::first_line;
use super::signer::{EDDSA, HS256, Signer};

/// The seconds that clocks may differ, in both crates.
const LEEWAY: u64 = 30;

/// Two verifiers of one key in this crate, and one in the other.
struct Judges {
    signer: &'static Signer,
    ours: [TokenVerifier; 2],
    theirs: Validation,
}

static WITH_HS256: LazyLock<Judges> = LazyLock::new(|| Judges::of(&HS256));
static WITH_EDDSA: LazyLock<Judges> = LazyLock::new(|| Judges::of(&EDDSA));

/// Reads a header, a line feed, and claims.
pub(super) fn hs256(data: &[u8]) {
    signed(&WITH_HS256, data);
}

/// Reads a header, a line feed, and claims. Valid signatures of this algorithm are cached.
pub(super) fn eddsa(data: &[u8]) {
    signed(&WITH_EDDSA, data);
}

/// Reads a whole token. If it has `!` in place of a signature, it is signed first.
pub(super) fn text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let judges = &*WITH_HS256;
    match text.strip_suffix(".!") {
        Some(message) => judges.compare(&judges.signer.signed(message.to_owned())),
        None => judges.compare(text),
    }
}

fn signed(judges: &Judges, data: &[u8]) {
    let (header, claims) = first_line(data);
    judges.compare(&judges.signer.token(header, claims));
}

// === impl Judges ===

impl Judges {
    fn of(signer: &'static Signer) -> Self {
        let ours = |profile| {
            let builder: TokenVerifierBuilder = TokenVerifier::builder()
                .keys(signer.key.verifying_key())
                .issuer("me")
                .audience("api")
                .profile(profile);
            builder.build().unwrap()
        };
        let mut theirs = Validation::new(signer.algorithm);
        theirs.set_issuer(&["me"]);
        theirs.set_audience(&["api"]);
        theirs.set_required_spec_claims(&["exp", "iss", "aud"]);
        theirs.leeway = LEEWAY;
        theirs.validate_nbf = true;
        Self {
            signer,
            ours: [TokenProfile::Own, TokenProfile::Compatible].map(ours),
            theirs,
        }
    }

    /// Returns the token as each verifier of this crate that accepts it reads it. When it is verified again, from
    /// the cache, the result must be the same.
    fn accepted(&self, token: &str) -> Vec<VerifiedToken> {
        let mut accepted = Vec::new();
        for verifier in &self.ours {
            let Ok(first) = verifier.verify_local(token) else {
                continue;
            };
            for _ in 0..2 {
                let again = verifier.verify_local(token).unwrap();
                assert_eq!(first.payload(), again.payload());
            }
            accepted.push(first);
        }
        accepted
    }

    fn compare(&self, token: &str) {
        let unverified = decode_unverified::<Map<String, Value>>(token);
        let expiry = expires_at(token);
        for verified in self.accepted(token) {
            let payload = token.split('.').nth(1).unwrap();
            assert_eq!(verified.payload().as_bytes(), decode_part(payload));
            let TokenData { claims, .. } = self.theirs(token);
            assert_eq!(*verified.claims::<Map<String, Value>>().unwrap(), claims);
            assert_eq!(
                unverified.as_ref().unwrap().unverified_claims(),
                &claims,
                "unverified"
            );
            let text = |name| claims.get(name).and_then(Value::as_str);
            assert_eq!(verified.subject(), text("sub"));
            assert_eq!(verified.issuer(), text("iss"));
            assert_eq!(verified.token_id(), text("jti"));
            assert_eq!(verified.session_id(), text("sid"));
            let exp = claims["exp"].as_f64();
            assert_eq!(verified.expires_at().map(|exp| exp.as_secs_f64()), exp);
            assert!(expiry.as_ref().unwrap().is_some());
        }
    }

    /// Returns what `jsonwebtoken` reads in a token that is accepted here.
    fn theirs(&self, token: &str) -> TokenData<Map<String, Value>> {
        let refused = match decode(token, &self.signer.decoding, &self.theirs) {
            Ok(data) => return data,
            Err(error) => error,
        };
        // It also parses members of the header that RFC 7515 allows to ignore, as this crate does.
        let (message, _) = token.rsplit_once('.').unwrap();
        let (header, claims) = message.split_once('.').unwrap();
        let header = decode_part(header);
        let mut header: Map<String, Value> = serde_json::from_slice(&header).unwrap();
        header.retain(|name, _| ["alg", "typ", "kid", "cty", "crit"].contains(&&**name));
        let header = Value::Object(header).to_string();
        let again = self.signer.token(header.as_bytes(), &decode_part(claims));
        match decode(&again, &self.signer.decoding, &self.theirs) {
            Ok(data) => data,
            Err(_) => panic!("accepted, but `jsonwebtoken` says: {refused}"),
        }
    }
}

fn decode_part(part: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(part)
        .unwrap()
}
