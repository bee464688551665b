//! Several issuers behind one verifier, each judged by its own rules alone.

use tower_jwt_auth::AuthErrorKind::{
    self, InvalidAudience, InvalidIssuer, InvalidSignature, MalformedToken, UnsupportedAlgorithm,
};
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::{
    Algorithm, ConfigError, JwtAuthLayer, SigningKey, TokenIssuer, TokenVerifier,
};

use crate::support::{NOW, bearer, claims, key, send, signed};

struct Party {
    key: SigningKey,
    tokens: TokenIssuer,
}

fn party(algorithm: Algorithm, issuer: &str, audience: &str) -> Party {
    let key = SigningKey::generate(algorithm).unwrap();
    let tokens = issuer_with(key.clone(), issuer, audience);
    Party { key, tokens }
}

fn issuer_with(key: SigningKey, issuer: &str, audience: &str) -> TokenIssuer {
    TokenIssuer::builder(key)
        .issuer(issuer)
        .audience(audience)
        .build()
        .unwrap()
}

fn kind(verifier: &TokenVerifier, token: &str) -> Result<String, AuthErrorKind> {
    let verified = verifier.verify_local(token).map_err(|error| error.kind())?;
    Ok(verified.issuer().unwrap().to_owned())
}

#[test]
fn each_issuer_has_its_own_keys_algorithms_and_audience() {
    let a = party(Algorithm::ES256, "https://a.example", "api-a");
    let b = party(Algorithm::EdDSA, "https://b.example", "api-b");
    let verifier = TokenVerifier::for_issuers([a.tokens.verifier(), b.tokens.verifier()]).unwrap();
    let issue = |tokens: &TokenIssuer| tokens.access("alice").issue().unwrap();

    assert_eq!(
        kind(&verifier, &issue(&a.tokens)),
        Ok("https://a.example".into())
    );
    assert_eq!(
        kind(&verifier, &issue(&b.tokens)),
        Ok("https://b.example".into())
    );

    // RFC 8725 section 3.8: A's token signed with B's key is refused although both are trusted, and B's
    // algorithm is not allowed for A.
    let a_by_b = issue(&issuer_with(b.key.clone(), "https://a.example", "api-a"));
    assert_eq!(kind(&verifier, &a_by_b), Err(UnsupportedAlgorithm));
    let other = party(Algorithm::ES256, "https://a.example", "api-a");
    // The id was derived, so the only key of this algorithm may be meant: the signature decides.
    assert_eq!(
        kind(&verifier, &issue(&other.tokens)),
        Err(InvalidSignature)
    );

    // The audience of one issuer is not that of the other.
    let a_for_b = issue(&issuer_with(a.key.clone(), "https://a.example", "api-b"));
    assert_eq!(kind(&verifier, &a_for_b), Err(InvalidAudience));
}

#[test]
fn an_issuer_must_match_byte_for_byte() {
    let one = TokenVerifier::builder()
        .keys(key().verifying_key())
        .issuer("me")
        .audience("api")
        .clock(ManualClock::at_unix_seconds(NOW))
        .build()
        .unwrap();
    let verifier = TokenVerifier::for_issuers([one]).unwrap();
    let with_issuer = |iss: &str| {
        let payload = claims("").replace(r#""iss":"me""#, &format!(r#""iss":{iss}"#));
        kind(&verifier, &signed(r#"{"alg":"HS256"}"#, payload))
    };
    assert_eq!(with_issuer(r#""me""#), Ok("me".into()));
    for iss in [
        r#""ME""#,
        r#""me/""#,
        r#"" me""#,
        r#"["me"]"#,
        "5",
        "null",
        r#""""#,
        "{}",
    ] {
        assert_eq!(with_issuer(iss), Err(InvalidIssuer), "{iss}");
    }
    let none = claims("").replace(r#""iss":"me","#, "");
    assert_eq!(
        kind(&verifier, &signed(r#"{"alg":"HS256"}"#, none)),
        Err(InvalidIssuer)
    );
    let twice = claims(r#","iss":"me""#);
    assert_eq!(
        kind(&verifier, &signed(r#"{"alg":"HS256"}"#, twice)),
        Err(MalformedToken)
    );
    for broken in ["", "a.b", "a.b.c", "....", "a.e30.c"] {
        assert!(kind(&verifier, broken).is_err(), "{broken}");
    }
}

#[test]
fn several_issuers_need_exactly_one_verifier_each() {
    let a = party(Algorithm::ES256, "https://a.example", "api")
        .tokens
        .verifier();
    let b = party(Algorithm::ES256, "https://b.example", "api")
        .tokens
        .verifier();
    let refused =
        |verifiers: Vec<TokenVerifier>| TokenVerifier::for_issuers(verifiers).unwrap_err();
    assert_eq!(refused(vec![]), ConfigError::MissingIssuer);
    let twice = refused(vec![a.clone(), b.clone(), a.clone()]);
    assert_eq!(
        twice,
        ConfigError::DuplicateIssuer("https://a.example".into())
    );
    let any = TokenVerifier::builder()
        .keys(key().verifying_key())
        .dangerous_no_issuer()
        .audience("api")
        .build()
        .unwrap();
    assert_eq!(refused(vec![a.clone(), any]), ConfigError::MissingIssuer);
    // Directories can be combined.
    let both = TokenVerifier::for_issuers([a, b]).unwrap();
    let c = party(Algorithm::ES256, "https://c.example", "api").tokens;
    let all = TokenVerifier::for_issuers([both, c.verifier()]).unwrap();
    assert!(
        all.verify_local(&c.access("alice").issue().unwrap())
            .is_ok()
    );
}

#[tokio::test]
async fn the_layer_accepts_tokens_of_either_issuer() {
    let a = party(Algorithm::ES256, "https://a.example", "api").tokens;
    let b = party(Algorithm::HS256, "https://b.example", "api").tokens;
    let verifier = TokenVerifier::for_issuers([a.verifier(), b.verifier()]).unwrap();
    let layer = JwtAuthLayer::new(verifier);
    for (tokens, subject) in [(&a, "alice"), (&b, "bob")] {
        let token = tokens.access(subject).issue().unwrap();
        assert_eq!(send(&layer, bearer(&token)).await.body, subject);
    }
    let stranger = party(Algorithm::ES256, "https://c.example", "api").tokens;
    let token = stranger.access("eve").issue().unwrap();
    let seen = send(&layer, bearer(&token)).await;
    assert_eq!(
        seen.verdict(),
        r#"401 Bearer realm="api", error="invalid_token""#
    );
}
