//! Settings that cannot work are refused when the service is built.

use std::time::Duration;

use tower_jwt_auth::backchannel_logout::{BackchannelLogout, BackchannelLogoutBuilder};
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::revocation::MemoryRevocations;
use tower_jwt_auth::verifier::{IssuerResolver, TokenProfile};
use tower_jwt_auth::{AuthError, AuthErrorKind, TokenVerifier};

use super::{access_tokens, logout_token, logout_tokens};
use crate::support::{NOW, tokens};

fn clock() -> ManualClock {
    ManualClock::at_unix_seconds(NOW)
}

fn builder() -> BackchannelLogoutBuilder {
    let verifier = logout_tokens(&clock()).build().unwrap();
    BackchannelLogout::builder(verifier, MemoryRevocations::new())
}

/// A verifier of the provider's access tokens, with a revocation store.
fn access() -> tower_jwt_auth::verifier::TokenVerifierBuilder {
    access_tokens(&clock()).revocation(MemoryRevocations::new())
}

#[test]
fn settings_that_cannot_work_are_refused_with_advice() {
    let revocations = MemoryRevocations::new;
    let other_profile = logout_tokens(&clock()).profile(TokenProfile::Compatible);
    let with_store = logout_tokens(&clock()).revocation(revocations());
    let unlimited = TokenVerifier::builder()
        .keys(crate::support::key().verifying_key())
        .issuer("https://idp.example")
        .audience("api")
        .profile(TokenProfile::Compatible)
        .revocation(revocations())
        .build()
        .unwrap();
    let limited = access().build().unwrap();
    let hour = Duration::from_secs(3600);
    for (refused, cure) in [
        (
            BackchannelLogout::builder(other_profile.build().unwrap(), revocations()),
            ".profile(TokenProfile::LogoutToken)",
        ),
        (
            BackchannelLogout::builder(with_store.build().unwrap(), revocations()),
            "leave out `.revocation(..)`",
        ),
        (
            builder().access_tokens(&access_tokens(&clock()).build().unwrap()),
            "add `.revocation(store)`",
        ),
        (
            builder().access_tokens(&tokens().verifier()),
            "`Rfc9068`, `Compatible` or `IdToken`",
        ),
        (
            builder().access_tokens(&unlimited),
            "set `.max_lifetime(..)`",
        ),
        (
            builder()
                .access_tokens(&limited)
                .max_access_ttl(hour - Duration::from_secs(1)),
            "raise `max_access_ttl`",
        ),
        (builder().max_access_ttl(Duration::ZERO), "above zero"),
        (builder().max_access_ttl(Duration::MAX), "at most ten years"),
    ] {
        let text = refused.build().unwrap_err().to_string();
        assert!(text.contains(cure), "{text}");
    }
    for accepted in [
        builder(),
        builder().max_access_ttl(hour),
        builder().access_tokens(&limited),
        builder().access_tokens(&limited).max_access_ttl(hour),
        builder().access_tokens(&unlimited).max_access_ttl(hour),
    ] {
        accepted.build().unwrap();
    }
}

#[test]
fn tokens_of_this_application_are_ignored() {
    let both = [tokens().verifier(), access().build().unwrap()];
    let both = TokenVerifier::for_issuers(both).unwrap();
    builder().access_tokens(&both).build().unwrap();
}

/// A resolver that knows one issuer, with this verifier.
#[derive(Debug)]
struct OneTenant(TokenVerifier);

impl IssuerResolver for OneTenant {
    async fn resolve(
        &self,
        _: &str,
        _: Option<TokenVerifier>,
    ) -> Result<Option<TokenVerifier>, AuthError> {
        Ok(Some(self.0.clone()))
    }
}

#[tokio::test]
async fn run_time_issuers_need_a_lifetime_and_the_profile() {
    let resolver = |verifier: TokenVerifier| {
        let resolver = TokenVerifier::resolver_builder(OneTenant(verifier));
        resolver.clock(clock()).build().unwrap()
    };
    let access = resolver(access().build().unwrap());
    let text = builder()
        .access_tokens(&access)
        .build()
        .unwrap_err()
        .to_string();
    assert!(text.contains("set `max_access_ttl`"), "{text}");
    let hour = Duration::from_secs(3600);
    let good = resolver(logout_tokens(&clock()).build().unwrap());
    let good = BackchannelLogout::builder(good, MemoryRevocations::new());
    let good = good.access_tokens(&access).max_access_ttl(hour);
    let token = logout_token(serde_json::json!({}));
    good.build().unwrap().log_out(&token).await.unwrap();

    let bad = logout_tokens(&clock()).profile(TokenProfile::IdToken);
    let bad = resolver(bad.build().unwrap());
    let bad = BackchannelLogout::builder(bad, MemoryRevocations::new())
        .build()
        .unwrap();
    let refused = bad.log_out(&token).await.unwrap_err();
    assert_eq!(refused.kind(), AuthErrorKind::WrongType);
}
