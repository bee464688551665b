//! [`Preset`]: the settings for the tokens of well-known identity providers.

use std::fmt;

use super::builder::TokenVerifierBuilder;
use crate::error::ConfigError;
use crate::jwks::{RemoteJwks, RemoteJwksBuilder};
use crate::names::Names;
use crate::policy::{IssuerPattern, TokenProfile};

/// The settings for the tokens of one identity provider: its issuer, where its keys are, the profile, and
/// the claims for audience, scopes and roles. Give it to
/// [`TokenVerifierBuilder::preset`](super::TokenVerifierBuilder::preset).
///
/// [The guide](crate::guide::providers) says what to set up at each provider. The presets follow the
/// documentation of the providers as of late 2026, and are tested with tokens of that form.
///
/// ```no_run
/// # fn example() -> Result<(), tower_jwt_auth::ConfigError> {
/// use tower_jwt_auth::TokenVerifier;
/// use tower_jwt_auth::verifier::Preset;
///
/// let verifier = TokenVerifier::builder()
///     .preset(Preset::keycloak("https://login.example/realms/staff"))
///     .audience("orders-api")
///     .build()?;
/// # let _ = verifier; Ok(()) }
/// ```
#[derive(Clone)]
pub struct Preset {
    name: &'static str,
    issuers: Vec<String>,
    pattern: Option<IssuerPattern>,
    any_issuer: bool,
    /// The URL of the keys, if the provider has no metadata that names it.
    jwks_uri: Option<String>,
    keys_from: Option<&'static str>,
    is_in_cluster: bool,
    /// Whether the application must provide the keys.
    has_no_address: bool,
    profile: TokenProfile,
    audience_claim: Option<&'static str>,
    any_audience: bool,
    scope_claims: &'static [&'static str],
    role_claims: &'static [&'static str],
    rules: Vec<Rule>,
}

#[derive(Clone)]
struct Rule {
    claim: &'static str,
    values: Vec<String>,
    is_required: bool,
}

// === impl Preset ===

/// The folder in which a pod finds the token of its service account and the certificate of the API server.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The names that [`Preset::named`] accepts.
const NAMED: &str = "auth0, keycloak, entra, entra-v1, okta, cognito, google, firebase, supabase, zitadel, \
    cloudflare-access, google-iap, github-actions, kubernetes or spring";

impl Preset {
    /// Returns the preset for Auth0: `https://TENANT.REGION.auth0.com/`, or a domain of your own. The slash
    /// at the end is part of the issuer, and is added if it is missing. The audience is the identifier of the
    /// API.
    #[must_use]
    pub fn auth0(issuer: impl Into<String>) -> Self {
        let mut issuer = issuer.into();
        if !issuer.ends_with('/') {
            issuer.push('/');
        }
        Self::of("auth0", issuer)
    }

    /// Returns the preset for Keycloak: `https://HOST/realms/REALM`. The audience is the one that an audience
    /// mapper adds. Roles are those of the realm; add those of a client by
    /// `.role_claim("resource_access.CLIENT.roles")`.
    #[must_use]
    pub fn keycloak(issuer: impl Into<String>) -> Self {
        Self {
            role_claims: &["realm_access.roles"],
            ..Self::of("keycloak", without_slash(issuer.into()))
        }
    }

    /// Returns the preset for Entra ID, with tokens of version 2 from one tenant, by its id. The audience is
    /// the client id of the API.
    #[must_use]
    pub fn entra(tenant: impl fmt::Display) -> Self {
        let issuer = format!("https://login.microsoftonline.com/{tenant}/v2.0");
        Self {
            scope_claims: &["scp"],
            role_claims: &["roles"],
            ..Self::of("entra", issuer)
        }
    }

    /// Returns the preset for Entra ID, with tokens of version 2 from several tenants, by their ids. The
    /// `tid` of each token must be the tenant in its issuer. The audience is the client id of the API.
    #[must_use]
    pub fn entra_tenants(tenants: impl Names) -> Self {
        let pattern = IssuerPattern::new("https://login.microsoftonline.com/{tid}/v2.0");
        let keys = "https://login.microsoftonline.com/common/discovery/v2.0/keys";
        Self {
            issuers: Vec::new(),
            pattern: Some(pattern.one_of(tenants)),
            jwks_uri: Some(keys.to_owned()),
            ..Self::entra("")
        }
    }

    /// Returns the preset for Entra ID, with tokens of version 1 from one tenant, by its id. The audience is
    /// the client id of the API or its Application ID URI.
    #[must_use]
    pub fn entra_v1(tenant: impl fmt::Display) -> Self {
        let keys = format!("https://login.microsoftonline.com/{tenant}/discovery/keys");
        Self {
            issuers: vec![format!("https://sts.windows.net/{tenant}/")],
            jwks_uri: Some(keys),
            ..Self::entra("")
        }
    }

    /// Returns the preset for a custom authorization server of Okta, such as
    /// `https://ORG.okta.com/oauth2/default`. Roles come from the claim `groups`, which has to be added to
    /// access tokens there.
    #[must_use]
    pub fn okta(issuer: impl Into<String>) -> Self {
        Self {
            scope_claims: &["scp"],
            role_claims: &["groups"],
            ..Self::of("okta", without_slash(issuer.into()))
        }
    }

    /// Returns the preset for Cognito: `https://cognito-idp.REGION.amazonaws.com/POOL-ID`. Its access tokens
    /// have no `aud`: the audience is the id of the app client, in `client_id`. Roles are the groups of the
    /// pool.
    #[must_use]
    pub fn cognito(issuer: impl Into<String>) -> Self {
        Self {
            audience_claim: Some("client_id"),
            role_claims: &["cognito:groups"],
            rules: vec![Rule::required("token_use", "access")],
            ..Self::of("cognito", without_slash(issuer.into()))
        }
    }

    /// Returns the preset for the ID tokens of Google, which prove a login at your own client. The audience
    /// is the id of the client. After the login, issue tokens of your own: ID tokens are not meant for API
    /// calls.
    #[must_use]
    pub fn google() -> Self {
        let both = ["https://accounts.google.com", "accounts.google.com"];
        Self {
            issuers: both.map(str::to_owned).into(),
            keys_from: Some("https://www.googleapis.com"),
            profile: TokenProfile::IdToken,
            ..Self::of("google", String::new())
        }
    }

    /// Returns the preset for Firebase Authentication: the ID tokens of a project, which are its credentials
    /// for API calls. The audience is the id of the project.
    #[must_use]
    pub fn firebase(project: impl fmt::Display) -> Self {
        let keys = "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com";
        Self {
            jwks_uri: Some(keys.to_owned()),
            ..Self::of(
                "firebase",
                format!("https://securetoken.google.com/{project}"),
            )
        }
    }

    /// Returns the preset for Supabase: `https://PROJECT.supabase.co`. The audience is `authenticated`. If
    /// the project still signs with its legacy secret, add that as a further key:
    /// [`additional_keys`](super::TokenVerifierBuilder::additional_keys).
    #[must_use]
    pub fn supabase(project: impl Into<String>) -> Self {
        let mut issuer = without_slash(project.into());
        if !issuer.ends_with("/auth/v1") {
            issuer.push_str("/auth/v1");
        }
        Self {
            jwks_uri: Some(format!("{issuer}/.well-known/jwks.json")),
            role_claims: &["role"],
            ..Self::of("supabase", issuer)
        }
    }

    /// Returns the preset for the session tokens of a Clerk instance, by its Frontend API URL. They have no
    /// audience. Instead, `azp` is the origin of the page that asked for the token; if it is present, it must
    /// be one of `origins`.
    #[must_use]
    pub fn clerk(issuer: impl Into<String>, origins: impl Names) -> Self {
        let mut values = Vec::new();
        origins.for_each(&mut |origin| values.push(origin.to_owned()));
        Self {
            any_audience: true,
            rules: vec![Rule {
                claim: "azp",
                values,
                is_required: false,
            }],
            ..Self::of("clerk", without_slash(issuer.into()))
        }
    }

    /// Returns the preset for Zitadel: `https://INSTANCE.zitadel.cloud` or a domain of your own. The audience
    /// is the id of the project. Roles are those of the project for which the token was requested.
    #[must_use]
    pub fn zitadel(issuer: impl Into<String>) -> Self {
        Self {
            role_claims: &["urn:zitadel:iam:org:project:roles"],
            ..Self::of("zitadel", without_slash(issuer.into()))
        }
    }

    /// Returns the preset for Cloudflare Access: `https://TEAM.cloudflareaccess.com`. The audience is the AUD
    /// tag of the application. The token comes in a header of its own: add
    /// `TokenSource::header("Cf-Access-Jwt-Assertion")` to the layer.
    #[must_use]
    pub fn cloudflare_access(team: impl Into<String>) -> Self {
        let issuer = without_slash(team.into());
        Self {
            jwks_uri: Some(format!("{issuer}/cdn-cgi/access/certs")),
            role_claims: &["groups"],
            rules: vec![Rule::required("type", "app")],
            ..Self::of("cloudflare-access", issuer)
        }
    }

    /// Returns the preset for Google Cloud Identity-Aware Proxy. The audience names the backend service, such
    /// as `/projects/NUMBER/global/backendServices/ID`. The token comes in a header of its own: add
    /// `TokenSource::header("X-Goog-IAP-JWT-Assertion")` to the layer.
    #[must_use]
    pub fn google_iap() -> Self {
        let keys = "https://www.gstatic.com/iap/verify/public_key-jwk";
        Self {
            jwks_uri: Some(keys.to_owned()),
            ..Self::of("google-iap", "https://cloud.google.com/iap".to_owned())
        }
    }

    /// Returns the preset for the tokens of GitHub Actions workflows. The audience is the one that the
    /// workflow asks for.
    ///
    /// # Security
    ///
    /// Any repository on GitHub can ask for a token with your audience. Require your own by
    /// `.claim_one_of("repository", ["acme/shop"])`, or by `repository_owner_id`, which stays the same when
    /// an account is renamed.
    #[must_use]
    pub fn github_actions() -> Self {
        let issuer = "https://token.actions.githubusercontent.com";
        Self::of("github-actions", issuer.to_owned())
    }

    /// Returns the preset for the service accounts of the Kubernetes cluster in which the service runs. The
    /// issuer is commonly `https://kubernetes.default.svc.cluster.local`. The audience is that of the
    /// projected token.
    ///
    /// The keys are fetched from the API server, with the certificate and the token of the pod's own service
    /// account. Its permissions must include `system:service-account-issuer-discovery`, which all service
    /// accounts have by default.
    #[must_use]
    pub fn kubernetes(issuer: impl Into<String>) -> Self {
        Self {
            jwks_uri: Some("https://kubernetes.default.svc/openid/v1/jwks".to_owned()),
            is_in_cluster: true,
            ..Self::of("kubernetes", issuer.into())
        }
    }

    /// Returns the preset for Spring Authorization Server, by its issuer. Its scopes are an array. The
    /// audience of an access token is the id of the client unless a customizer sets another one.
    #[must_use]
    pub fn spring(issuer: impl Into<String>) -> Self {
        Self::of("spring", issuer.into())
    }

    /// Returns the preset for Simple JWT (Django), by the value of its setting `ISSUER`. Set the key as well:
    /// `.keys(SigningKey::hs256(secret)?.verifying_key())`. Refresh tokens are refused.
    #[must_use]
    pub fn simple_jwt(issuer: impl Into<String>) -> Self {
        Self {
            has_no_address: true,
            rules: vec![Rule::required("token_type", "access")],
            ..Self::of("simple-jwt", issuer.into())
        }
    }

    /// Returns the preset for SPIFFE: the JWT-SVIDs of workloads. Set the keys of the trust domain as well:
    /// [`KeySet::from_spiffe_bundle`](crate::keys::KeySet::from_spiffe_bundle). The audience is the name of
    /// this service.
    ///
    /// # Security
    ///
    /// A JWT-SVID needs no issuer: the trust domain is the host in its subject, `spiffe://DOMAIN/WORKLOAD`.
    /// Trust the keys of one domain only, and add a guard that checks which subjects may call.
    #[must_use]
    pub fn spiffe() -> Self {
        Self {
            issuers: Vec::new(),
            any_issuer: true,
            has_no_address: true,
            profile: TokenProfile::JwtSvid,
            ..Self::of("spiffe", String::new())
        }
    }

    /// Returns the preset with this name, such as `keycloak`, for services that are configured by text.
    ///
    /// `address` is the argument of the constructor of that name: the issuer, tenant or project. It is ignored
    /// for `google`, `google-iap` and `github-actions`, which need none. The presets that need more settings
    /// have no name here: [`entra_tenants`](Self::entra_tenants), [`clerk`](Self::clerk),
    /// [`simple_jwt`](Self::simple_jwt) and [`spiffe`](Self::spiffe).
    ///
    /// # Errors
    ///
    /// Fails if there is no preset with this name.
    pub fn named(name: &str, address: &str) -> Result<Self, ConfigError> {
        Ok(match name {
            "auth0" => Self::auth0(address),
            "keycloak" => Self::keycloak(address),
            "entra" => Self::entra(address),
            "entra-v1" => Self::entra_v1(address),
            "okta" => Self::okta(address),
            "cognito" => Self::cognito(address),
            "google" => Self::google(),
            "firebase" => Self::firebase(address),
            "supabase" => Self::supabase(address),
            "zitadel" => Self::zitadel(address),
            "cloudflare-access" => Self::cloudflare_access(address),
            "google-iap" => Self::google_iap(),
            "github-actions" => Self::github_actions(),
            "kubernetes" => Self::kubernetes(address),
            "spring" => Self::spring(address),
            _ => {
                let name: String = name.escape_default().take(64).collect();
                return Err(ConfigError::invalid(format!(
                    "there is no preset `{name}`: write {NAMED}"
                )));
            }
        })
    }

    /// Returns the name of the provider, such as `keycloak`. All presets for Entra ID return `entra`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name
    }

    fn of(name: &'static str, issuer: String) -> Self {
        Self {
            name,
            issuers: vec![issuer],
            pattern: None,
            any_issuer: false,
            jwks_uri: None,
            keys_from: None,
            is_in_cluster: false,
            has_no_address: false,
            profile: TokenProfile::Compatible,
            audience_claim: None,
            any_audience: false,
            scope_claims: &[],
            role_claims: &[],
            rules: Vec::new(),
        }
    }

    /// Returns the keys of the provider, or `None` if the application must provide them.
    pub(crate) fn remote(&self) -> Result<Option<RemoteJwksBuilder>, ConfigError> {
        if self.has_no_address {
            return Ok(None);
        }
        let issuer = self.issuers.first().cloned().unwrap_or_default();
        let mut keys = match &self.jwks_uri {
            Some(url) => RemoteJwks::builder_at(url),
            None => RemoteJwks::builder(issuer),
        };
        if let Some(origin) = self.keys_from {
            keys = keys.allow_keys_from(origin);
        }
        if self.is_in_cluster {
            keys = keys
                .allow_private_network()
                .bearer_token_file(format!("{SERVICE_ACCOUNT}/token"))
                .root_certificates_file(format!("{SERVICE_ACCOUNT}/ca.crt"));
        }
        Ok(Some(keys))
    }

    /// Applies everything but the keys.
    pub(super) fn apply(self, mut verifier: TokenVerifierBuilder) -> TokenVerifierBuilder {
        verifier = verifier.profile(self.profile);
        if !self.issuers.is_empty() {
            verifier = verifier.issuers(self.issuers);
        }
        if let Some(pattern) = self.pattern {
            verifier = verifier.issuer_pattern(pattern);
        }
        if self.any_issuer {
            verifier = verifier.dangerous_no_issuer();
        }
        if self.any_audience {
            verifier = verifier.dangerous_no_audience();
        }
        if let Some(claim) = self.audience_claim {
            verifier = verifier.audience_claim(claim);
        }
        for claim in self.scope_claims {
            verifier = verifier.scope_claim(claim);
        }
        for claim in self.role_claims {
            verifier = verifier.role_claim(claim);
        }
        for rule in self.rules {
            verifier = if rule.is_required {
                verifier.claim_one_of(rule.claim, rule.values)
            } else {
                verifier.claim_one_of_if_present(rule.claim, rule.values)
            };
        }
        verifier
    }
}

impl fmt::Debug for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Preset")
            .field("name", &self.name)
            .field("issuers", &self.issuers)
            .finish_non_exhaustive()
    }
}

// === impl Rule ===

impl Rule {
    fn required(claim: &'static str, value: &str) -> Self {
        Self {
            claim,
            values: vec![value.to_owned()],
            is_required: true,
        }
    }
}

/// Removes a slash at the end, which the tokens of this provider do not have in `iss`.
fn without_slash(issuer: String) -> String {
    match issuer.strip_suffix('/') {
        Some(bare) => bare.to_owned(),
        None => issuer,
    }
}
