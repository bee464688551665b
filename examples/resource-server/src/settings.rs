//! Whose tokens are taken, from the variables `ISSUER_1`, `ISSUER_1_AUDIENCE`, `ISSUER_2` and so on.

use std::collections::{BTreeMap, BTreeSet};
use std::env;

use tower_jwt_auth::jwks::RemoteJwks;
use tower_jwt_auth::verifier::TokenProfile;
use tower_jwt_auth::{ConfigError, TokenVerifier};

/// The provider beside this program, which is meant where nothing is configured.
pub(crate) const DEVELOPMENT: &str = "http://127.0.0.1:4000";

const NAMES: &str =
    "AUDIENCE, AUDIENCE_CLAIM, PROFILE, SCOPE_CLAIM, ROLE_CLAIM, KEYS_FROM and PRIVATE_NETWORK";

pub(crate) struct Settings {
    /// One for each issuer; their keys are being fetched already.
    pub(crate) verifiers: Vec<TokenVerifier>,
    pub(crate) development: bool,
}

/// One provider, and what its tokens must say.
struct Issuer {
    name: String,
    audiences: Vec<String>,
    audience_claim: Option<String>,
    profile: TokenProfile,
    scope_claims: Vec<String>,
    role_claims: Vec<String>,
    keys_from: Vec<String>,
    private_network: bool,
}

// === impl Settings ===

impl Settings {
    /// # Errors
    ///
    /// Every problem, one a line.
    pub(crate) fn from_env() -> Result<Self, String> {
        let mut given = variables();
        if given.is_empty() {
            let issuer = Issuer::development();
            let verifier = issuer.verifier().map_err(|error| error.to_string())?;
            return Ok(Self {
                verifiers: vec![verifier],
                development: true,
            });
        }
        let numbers = given
            .keys()
            .filter_map(|name| name.split('_').nth(1)?.parse().ok());
        let numbers: BTreeSet<u16> = numbers.collect();
        let (mut verifiers, mut problems) = (Vec::new(), Vec::new());
        for number in numbers {
            let prefix = format!("ISSUER_{number}");
            let Some(issuer) = Issuer::take(&prefix, &mut given, &mut problems) else {
                continue;
            };
            match issuer.verifier() {
                Ok(verifier) => verifiers.push(verifier),
                Err(error) => problems.push(format!("{prefix}: {error}")),
            }
        }
        // A mistake in a name must not pass for a setting that is in force.
        for name in given.keys() {
            problems.push(format!(
                "{name} means nothing: write ISSUER_1, or after `ISSUER_1_` one of {NAMES}"
            ));
        }
        if problems.is_empty() {
            Ok(Self {
                verifiers,
                development: false,
            })
        } else {
            let problems = problems.join("\n- ");
            Err(format!("the configuration has problems:\n- {problems}"))
        }
    }
}

/// Those that begin with `ISSUER_` and hold something.
fn variables() -> BTreeMap<String, String> {
    let given = env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        let value = value.to_string_lossy().trim().to_owned();
        (name.starts_with("ISSUER_") && !value.is_empty()).then_some((name, value))
    });
    given.collect()
}

// === impl Issuer ===

impl Issuer {
    fn development() -> Self {
        Self {
            name: DEVELOPMENT.into(),
            audiences: vec!["http://127.0.0.1:3000".into()],
            audience_claim: None,
            profile: TokenProfile::Rfc9068,
            scope_claims: Vec::new(),
            role_claims: vec!["realm_access.roles".into()],
            keys_from: Vec::new(),
            private_network: false,
        }
    }

    /// Takes the variables of one issuer out of those that were given.
    fn take(
        prefix: &str,
        given: &mut BTreeMap<String, String>,
        problems: &mut Vec<String>,
    ) -> Option<Self> {
        let before = problems.len();
        let mut take = |name: &str| given.remove(&format!("{prefix}{name}"));
        let mut is_one_of = |name: &str, value: Option<String>, known: [&'static str; 2]| {
            let value = value?;
            let found = known.into_iter().find(|one| *one == value);
            if found.is_none() {
                let [one, other] = known;
                problems.push(format!("{prefix}{name} must be `{one}` or `{other}`"));
            }
            found
        };
        let private = is_one_of("_PRIVATE_NETWORK", take("_PRIVATE_NETWORK"), ["yes", "no"]);
        let profile = is_one_of("_PROFILE", take("_PROFILE"), ["rfc9068", "compatible"]);
        let issuer = Self {
            name: take("").unwrap_or_default(),
            audiences: words(take("_AUDIENCE")),
            audience_claim: take("_AUDIENCE_CLAIM"),
            profile: match profile {
                Some("rfc9068") => TokenProfile::Rfc9068,
                _ => TokenProfile::Compatible,
            },
            scope_claims: words(take("_SCOPE_CLAIM")),
            role_claims: words(take("_ROLE_CLAIM")),
            keys_from: words(take("_KEYS_FROM")),
            private_network: private == Some("yes"),
        };
        if issuer.name.is_empty() {
            problems.push(format!(
                "{prefix} is not set: what the provider's tokens have as `iss`"
            ));
        }
        if issuer.audiences.is_empty() {
            problems.push(format!(
                "{prefix}_AUDIENCE is not set: what tokens for this API have as `aud`"
            ));
        }
        (problems.len() == before).then_some(issuer)
    }

    fn verifier(&self) -> Result<TokenVerifier, ConfigError> {
        let mut keys = RemoteJwks::builder(&self.name);
        // Plain http is only ever taken from this machine, for development.
        if self.name.starts_with("http://") {
            keys = keys.allow_loopback();
        }
        if self.private_network {
            keys = keys.allow_private_network();
        }
        for origin in &self.keys_from {
            keys = keys.allow_keys_from(origin);
        }
        let mut verifier = TokenVerifier::builder()
            .remote(&keys.build()?)
            .profile(self.profile);
        for audience in &self.audiences {
            verifier = verifier.audience(audience);
        }
        if let Some(claim) = &self.audience_claim {
            verifier = verifier.audience_claim(claim);
        }
        for claim in &self.scope_claims {
            verifier = verifier.scope_claim(claim);
        }
        for claim in &self.role_claims {
            verifier = verifier.role_claim(claim);
        }
        verifier.build()
    }
}

fn words(value: Option<String>) -> Vec<String> {
    let value = value.unwrap_or_default();
    value.split_whitespace().map(str::to_owned).collect()
}
