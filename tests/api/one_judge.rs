//! A verifier that caches tokens and one that does not come to the same verdict about every token, with any
//! settings.

use std::cell::Cell;
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use tower_jwt_auth::clock::ManualClock;
use tower_jwt_auth::revocation::{MemoryRevocations, Revocation, RevocationStore};
use tower_jwt_auth::verifier::{TokenProfile, TokenVerifierBuilder};
use tower_jwt_auth::{AuthErrorKind, SigningKey, TokenVerifier, VerifiedToken};

use crate::support::{NOW, SECRET, signed};

/// The settings of a verifier, each optional.
#[derive(Debug, Clone)]
struct Settings {
    profile: TokenProfile,
    issuer: Option<&'static str>,
    audience: Option<&'static str>,
    audience_claim: Option<&'static str>,
    required: Option<&'static str>,
    rule: Option<(&'static str, bool)>,
    scopes: Option<&'static str>,
    roles: Option<&'static str>,
    leeway: u64,
    max_lifetime: Option<u64>,
    takes_bound: bool,
}

fn settings() -> impl Strategy<Value = Settings> {
    use TokenProfile::{Compatible, IdToken, Own, Rfc9068};
    let names = (
        select(vec![Own, Own, Rfc9068, Compatible, Compatible, IdToken]),
        select(vec![None, Some("me"), Some("me"), Some("you")]),
        select(vec![None, Some("api"), Some("api"), Some("other")]),
        select(vec![None, None, None, Some("client_id")]),
        select(vec![None, None, Some("sub"), Some("tenant")]),
        select(vec![
            None,
            None,
            Some(("plan", true)),
            Some(("plan", false)),
        ]),
    );
    let rest = (
        select(vec![None, None, Some("scp")]),
        select(vec![None, None, Some("roles"), Some("realm.roles")]),
        select(vec![0_u64, 30, 300]),
        select(vec![None, None, Some(60_u64), Some(300)]),
        any::<bool>(),
    );
    (names, rest).prop_map(
        |(
            (profile, issuer, audience, audience_claim, required, rule),
            (scopes, roles, leeway, max_lifetime, takes_bound),
        )| Settings {
            profile,
            issuer,
            audience,
            audience_claim,
            required,
            rule,
            scopes,
            roles,
            leeway,
            max_lifetime,
            takes_bound,
        },
    )
}

impl Settings {
    fn builder(&self) -> TokenVerifierBuilder {
        let key = SigningKey::hs256(SECRET).unwrap();
        let mut builder = TokenVerifier::builder()
            .keys(key.verifying_key())
            .profile(self.profile)
            .leeway(Duration::from_secs(self.leeway));
        builder = match self.issuer {
            Some(issuer) => builder.issuer(issuer),
            None => builder.dangerous_no_issuer(),
        };
        builder = match self.audience {
            Some(audience) => builder.audience(audience),
            None => builder.dangerous_no_audience(),
        };
        if let Some(claim) = self.audience_claim {
            builder = builder.audience_claim(claim);
        }
        if let Some(claim) = self.required {
            builder = builder.require(claim);
        }
        builder = match self.rule {
            Some((claim, true)) => builder.claim_one_of(claim, ["pro", "free"]),
            Some((claim, false)) => builder.claim_one_of_if_present(claim, ["pro", "free"]),
            None => builder,
        };
        if let Some(claim) = self.scopes {
            builder = builder.scope_claim(claim);
        }
        if let Some(claim) = self.roles {
            builder = builder.role_claim(claim);
        }
        if let Some(limit) = self.max_lifetime {
            builder = builder.max_lifetime(Duration::from_secs(limit));
        }
        if self.takes_bound {
            builder = builder.dangerous_accept_bound_tokens();
        }
        builder
    }
}

/// Usually a good value, and sometimes another one.
fn claim(
    name: &'static str,
    good: Value,
    others: Vec<Value>,
) -> BoxedStrategy<(&'static str, Value)> {
    let others = select([vec![Value::Null], others].concat());
    prop_oneof![8 => Just(good), 1 => others]
        .prop_map(move |value| (name, value))
        .boxed()
}

fn token() -> impl Strategy<Value = String> {
    let typ = select(vec![
        json!("at+jwt"),
        json!("at+jwt"),
        json!("JWT"),
        json!(null),
        json!("rt+jwt"),
        json!("application/at+jwt"),
    ]);
    let claims = vec![
        claim("iss", json!("me"), vec![json!("you"), json!(5)]),
        claim(
            "aud",
            json!("api"),
            vec![json!(["api", "x"]), json!(["x"]), json!([])],
        ),
        claim("sub", json!("alice"), vec![json!(7)]),
        claim("jti", json!("id-1"), vec![json!("id-2")]),
        claim(
            "type",
            json!("access"),
            vec![json!("refresh"), json!("id_token")],
        ),
        claim("iat", json!(NOW), vec![json!(NOW + 60), json!("x")]),
        claim(
            "exp",
            json!(NOW + 200),
            vec![json!(NOW + 30), json!(NOW + 4000)],
        ),
        claim("nbf", json!(NOW), vec![json!(NOW + 90)]),
        claim(
            "client_id",
            json!("api"),
            vec![json!("other"), json!([]), json!(["api", 5])],
        ),
        claim("tenant", json!(1), vec![]),
        claim("plan", json!("pro"), vec![json!("none"), json!(["pro"])]),
        claim("cnf", json!(null), vec![json!({"jkt": "x"})]),
        claim("scope", json!("a b"), vec![json!(["a"]), json!("")]),
        claim("scp", json!(["c", "d"]), vec![json!("e")]),
        claim(
            "roles",
            json!(["r", "s"]),
            vec![json!("r"), json!(["r", "r"]), json!({"r": 1})],
        ),
        claim("realm", json!({"roles": ["q"]}), vec![json!("q")]),
        claim("big", json!(null), vec![json!("x".repeat(300))]),
    ];
    (typ, claims).prop_map(|(typ, claims)| {
        let mut header = json!({"alg": "HS256"});
        if !typ.is_null() {
            header["typ"] = typ;
        }
        let claims = claims.into_iter().filter(|(_, value)| !value.is_null());
        let claims: serde_json::Map<_, _> = claims
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        signed(header.to_string(), Value::Object(claims).to_string())
    })
}

/// Everything that an application can observe.
fn seen(
    verdict: Result<VerifiedToken, tower_jwt_auth::AuthError>,
) -> Result<Vec<String>, AuthErrorKind> {
    let verified = verdict.map_err(|error| error.kind())?;
    let mut seen = vec![
        verified.payload().to_owned(),
        format!("{:?}", verified.kind()),
    ];
    seen.push(format!(
        "{:?} {:?}",
        verified.expires_at(),
        verified.issued_at()
    ));
    seen.extend(
        [verified.issuer(), verified.subject(), verified.token_id()]
            .map(|text| format!("{text:?}")),
    );
    seen.extend(verified.scopes().map(|scope| format!("scope {scope}")));
    seen.extend(verified.roles().map(|role| format!("role {role}")));
    Ok(seen)
}

#[test]
fn remembered_and_new_tokens_get_the_same_verdict() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    // The number of tokens that were accepted often enough to be cached, and refused later.
    let turned = Cell::new(0);
    let config = Config {
        failure_persistence: None,
        ..Config::with_cases(300)
    };
    let input = (
        settings(),
        token(),
        prop::collection::vec((0_u64..400, any::<bool>()), 1..4),
    );
    let property = |(settings, token, steps): (Settings, String, Vec<(u64, bool)>)| {
        let clock = ManualClock::at_unix_seconds(NOW);
        let store = MemoryRevocations::with_clock(clock.clone());
        let build = |count| {
            let builder = settings.builder().clock(clock.clone()).cached_tokens(count);
            builder.revocation(store.clone()).build().unwrap()
        };
        let (remembers, forgets) = (build(1000), build(0));
        let compare = || {
            let expected = seen(runtime.block_on(forgets.verify(&token)));
            for _ in 0..4 {
                let found = seen(runtime.block_on(remembers.verify(&token)));
                prop_assert_eq!(&found, &expected);
                let local = seen(remembers.verify_local(&token));
                prop_assert_eq!(local, seen(forgets.verify_local(&token)));
            }
            Ok(expected.is_ok())
        };
        let mut accepted = compare()?;
        for (seconds, revoke) in steps {
            // The clock also goes back: a token may then be too new.
            clock.set(UNIX_EPOCH + Duration::from_secs(NOW - 100 + seconds));
            if revoke {
                let until = UNIX_EPOCH + Duration::from_secs(NOW + 10_000);
                let revocation = Revocation::token(Some("me"), "id-1", until);
                runtime.block_on(store.revoke(&[revocation])).unwrap();
            }
            let still = compare()?;
            if accepted && !still {
                turned.set(turned.get() + 1);
            }
            accepted = still;
        }
        Ok(())
    };
    TestRunner::new(config).run(&input, property).unwrap();
    assert!(
        turned.get() > 10,
        "only {} tokens were remembered",
        turned.get()
    );
}
