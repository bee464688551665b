//! Identity providers in environment variables.

use tower_jwt_auth::config::AuthConfig;
use tower_jwt_auth::{ConfigError, TokenVerifier};

const SECRET: &str = "r7Kq2VnXw9pLzT4mYc8JdH5bGs1NfQe3AuRiZoWk6tM0";

fn verifier(vars: &[(&str, &str)]) -> Result<TokenVerifier, ConfigError> {
    let config = AuthConfig::from_vars(vars.iter().copied())?;
    config.token_verifier(|builder| builder)
}

fn problems(vars: &[(&str, &str)]) -> String {
    verifier(vars).unwrap_err().to_string()
}

/// The names of the sources of keys.
fn sources(verifier: &TokenVerifier) -> Vec<String> {
    verifier.health().into_iter().map(|one| one.name).collect()
}

#[test]
fn a_service_without_keys_accepts_tokens_of_providers() {
    let verifier = verifier(&[
        ("JWT_PROVIDER_1", "https://login.example/realms/staff"),
        ("JWT_PROVIDER_1_AUDIENCE", "orders-api, other-api"),
        ("JWT_PROVIDER_1_PRESET", "keycloak"),
        ("JWT_PROVIDER_2_PRESET", "google-iap"),
        (
            "JWT_PROVIDER_2_AUDIENCE",
            "/projects/1/global/backendServices/2",
        ),
        ("JWT_PROVIDER_10", "https://idp.example/"),
        ("JWT_PROVIDER_10_AUDIENCE", "api"),
        ("JWT_PROVIDER_10_JWKS_URI", "https://keys.example/jwks.json"),
        ("JWT_MAX_TOKEN_BYTES", "4096"),
        ("JWT_MAX_LIFETIME", "3600"),
    ]);
    let expected = [
        "https://idp.example/",
        "https://login.example/realms/staff",
        "https://www.gstatic.com/iap/verify/public_key-jwk",
    ];
    assert_eq!(sources(&verifier.unwrap()), expected);
}

#[test]
fn one_verifier_accepts_own_tokens_and_those_of_providers() {
    let vars = [
        ("JWT_SECRET", SECRET),
        ("JWT_ISSUER", "me"),
        ("JWT_AUDIENCE", "api"),
        ("JWT_PROVIDER_1", "https://idp.example/"),
        ("JWT_PROVIDER_1_AUDIENCE", "api"),
    ];
    let both = verifier(&vars).unwrap();
    assert_eq!(sources(&both), ["https://idp.example/"]);
    let config = AuthConfig::from_vars(vars).unwrap();
    let own = config.issuer_builder().unwrap().build().unwrap();
    let token = own.access("alice").issue().unwrap();
    assert!(both.verify_local(&token).is_ok());
    assert!(both.verify_local(&format!("{token}x")).is_err());
}

#[test]
fn every_problem_of_a_provider_names_its_variable() {
    let text = problems(&[
        ("JWT_PROVIDER_1", "http://idp.example"),
        ("JWT_PROVIDER_1_AUDIENCE", "api"),
        ("JWT_PROVIDER_2_PRESET", "keycloak"),
        ("JWT_PROVIDER_2_PRIVATE_NETWORK", "true"),
        ("JWT_PROVIDER_3", "https://idp.example"),
        ("JWT_PROVIDER_3_AUDIENCE", "api"),
        ("JWT_PROVIDER_3_PRESET", "Auth0"),
        ("JWT_PROVIDER_4", "https://idp.example"),
        ("JWT_PROVIDER_4_AUDIENCE", "api"),
        ("JWT_PROVIDER_4_ALGORITHM", "RS256"),
        ("JWT_PROVIDER_X", "https://idp.example"),
        ("JWT_MAX_LIFETIME", "0"),
    ]);
    for told in [
        "JWT_PROVIDER_1: `http://idp.example` must be https",
        "JWT_PROVIDER_2 is not set",
        "JWT_PROVIDER_2_AUDIENCE is not set",
        "JWT_PROVIDER_2_PRIVATE_NETWORK must be `yes` or `no`",
        "JWT_PROVIDER_3: there is no preset `Auth0`: write auth0, keycloak",
        "JWT_PROVIDER_4_ALGORITHM is not a variable of this crate",
        "JWT_PROVIDER_X is not a variable of this crate",
        "JWT_MAX_LIFETIME is 0",
    ] {
        assert!(text.contains(told), "no {told:?} in {text}");
    }
    // Without any provider, the keys are what is missing.
    assert!(problems(&[]).contains("there is no key: set JWT_SECRET"));
}

#[test]
fn two_providers_with_one_issuer_are_refused() {
    let text = problems(&[
        ("JWT_PROVIDER_1", "https://idp.example"),
        ("JWT_PROVIDER_1_AUDIENCE", "api"),
        ("JWT_PROVIDER_2", "https://idp.example"),
        ("JWT_PROVIDER_2_AUDIENCE", "web"),
    ]);
    assert!(
        text.contains("two verifiers trust the issuer `https://idp.example`"),
        "{text}"
    );
}
