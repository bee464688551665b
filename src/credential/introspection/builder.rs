//! [`IntrospectionBuilder`]: the server to ask, the credentials of this service, and the rules for answers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::Introspection;
use super::asker::{Asker, Bounds};
use super::client_auth::ClientAuth;
use super::endpoint::Endpoint;
use super::memory::Memory;
use super::outage::Outage;
use crate::clock::Clock;
use crate::error::ConfigError;
use crate::jwks::{
    Address, AddressRules, Discovery, DynHttpClient, HttpClient, HttpsClient, Sought,
};
use crate::names::Names;
use crate::revocation::RevocationStore;
use crate::verifier::TokenVerifierBuilder;

/// The default time for which the answer that a token is active is cached: 60 seconds. A token that was
/// revoked at the server is still accepted for that long.
pub const DEFAULT_INTROSPECTION_CACHE_FOR: Duration = Duration::from_secs(60);
/// The longest time for which answers can be cached: 1 hour. With a longer one, introspection would be
/// pointless.
pub const MAX_INTROSPECTION_CACHE_FOR: Duration = Duration::from_secs(3600);
/// The default for the number of tokens in the cache: 16,384, with about 2 KiB each.
#[cfg(feature = "cache")]
pub const DEFAULT_INTROSPECTED_TOKENS: usize = 16_384;

/// Builds an [`Introspection`]; made by [`Introspection::builder`].
#[derive(Clone)]
#[must_use = "a builder does nothing until `build()`"]
pub struct IntrospectionBuilder {
    place: Place,
    elsewhere: Vec<String>,
    addresses: AddressRules,
    auth: Vec<ClientAuth>,
    /// The rules for answers, which are those of a verifier.
    rules: TokenVerifierBuilder,
    has_issuer: bool,
    cache_for: Duration,
    #[cfg(feature = "cache")]
    cached_tokens: usize,
    accept_all: bool,
    client: Option<Arc<dyn DynHttpClient>>,
}

#[derive(Clone)]
enum Place {
    Endpoint(String),
    Issuer(String),
}

// === impl IntrospectionBuilder ===

impl IntrospectionBuilder {
    pub(super) fn at(endpoint: String) -> Self {
        Self::new(Place::Endpoint(endpoint))
    }

    pub(super) fn discover(issuer: String) -> Self {
        Self::new(Place::Issuer(issuer.clone())).issuer(issuer)
    }

    fn new(place: Place) -> Self {
        Self {
            place,
            elsewhere: Vec::new(),
            addresses: AddressRules::default(),
            auth: Vec::new(),
            rules: TokenVerifierBuilder::for_answers(),
            has_issuer: false,
            cache_for: DEFAULT_INTROSPECTION_CACHE_FOR,
            #[cfg(feature = "cache")]
            cached_tokens: DEFAULT_INTROSPECTED_TOKENS,
            accept_all: false,
            client: None,
        }
    }

    /// Sends the client id and secret of this service in the `Authorization` header (HTTP Basic, RFC 6749
    /// section 2.3.1). Both are form-encoded first, as the RFC requires. Most servers expect this.
    pub fn client_secret_basic(mut self, id: impl Into<String>, secret: impl Into<String>) -> Self {
        self.auth.push(ClientAuth::Basic {
            id: id.into(),
            secret: Zeroizing::new(secret.into()),
        });
        self
    }

    /// Sends the client id and secret of this service in the body, as `client_id` and `client_secret`.
    pub fn client_secret_post(mut self, id: impl Into<String>, secret: impl Into<String>) -> Self {
        self.auth.push(ClientAuth::Post {
            id: id.into(),
            secret: Zeroizing::new(secret.into()),
        });
        self
    }

    /// Sends an access token of this service in the `Authorization` header (RFC 7662 section 2.1).
    pub fn bearer_token(mut self, token: impl Into<String>) -> Self {
        self.auth.push(ClientAuth::Bearer {
            token: Zeroizing::new(token.into()),
        });
        self
    }

    /// Sets the issuer. An answer with another `iss` is refused, and one without `iss` is attributed to this
    /// issuer. [`Introspection::builder`] already sets it.
    ///
    /// A subject is unique only within its issuer, so set it if the layer also accepts tokens of other
    /// issuers.
    pub fn issuer(self, issuer: impl Into<String>) -> Self {
        self.issuers([issuer.into()])
    }

    /// Sets the names of an issuer that has several. An answer without `iss` is attributed to the first one.
    pub fn issuers(mut self, names: impl Names) -> Self {
        self.has_issuer = true;
        self.rules = self.rules.issuers(names);
        self
    }

    /// Adds an audience: the `aud` of a token must contain one of the added audiences. Call it again to add
    /// more.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.rules = self.rules.audience(audience);
        self
    }

    /// Compares the [audiences](Self::audience) with this member instead of `aud`, for a server that uses
    /// another one. See
    /// [`TokenVerifierBuilder::audience_claim`](crate::verifier::TokenVerifierBuilder::audience_claim).
    pub fn audience_claim(mut self, path: impl AsRef<str>) -> Self {
        self.rules = self.rules.audience_claim(path);
        self
    }

    /// Accepts tokens for any audience, and tokens without one.
    ///
    /// # Security
    ///
    /// Another service that receives a user's token can then use it at this one. In addition, many servers
    /// also call refresh tokens active, and at some of them only the missing audience distinguishes these
    /// from access tokens. So require a member that your server sends only for access tokens, such as
    /// [`require("token_type")`](Self::require) with npm `oidc-provider` and Spring Authorization Server.
    pub fn dangerous_no_audience(mut self) -> Self {
        self.rules = self.rules.dangerous_no_audience();
        self
    }

    /// Accepts tokens that are bound to a key (`cnf`, `token_type: DPoP`) as plain bearer tokens.
    ///
    /// # Security
    ///
    /// A stolen token then works without its key. Use it only if something in front of this service, such as
    /// a gateway, has checked the proof or the client certificate.
    pub fn dangerous_accept_bound_tokens(mut self) -> Self {
        self.rules = self.rules.dangerous_accept_bound_tokens();
        self
    }

    /// Reads the scopes from this member instead of `scope` and `scp`. See
    /// [`TokenVerifierBuilder::scope_claim`](crate::verifier::TokenVerifierBuilder::scope_claim).
    pub fn scope_claim(mut self, path: impl AsRef<str>) -> Self {
        self.rules = self.rules.scope_claim(path);
        self
    }

    /// Reads roles from this member. By default, tokens have no roles. See
    /// [`TokenVerifierBuilder::role_claim`](crate::verifier::TokenVerifierBuilder::role_claim).
    pub fn role_claim(mut self, path: impl AsRef<str>) -> Self {
        self.rules = self.rules.role_claim(path);
        self
    }

    /// Refuses tokens if the answer does not have this member. Its value does not matter.
    pub fn require(mut self, member: impl Into<String>) -> Self {
        self.rules = self.rules.require(member);
        self
    }

    /// Refuses tokens if this member of the answer is missing or is not one of these strings.
    pub fn claim_one_of<V: Into<String>>(
        mut self,
        path: impl AsRef<str>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        self.rules = self.rules.claim_one_of(path, values);
        self
    }

    /// Sets by how much the clocks of the server and this service may differ: 30 seconds by default, 300 at
    /// most.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.rules = self.rules.leeway(leeway);
        self
    }

    /// Sets a store that is asked as well whether a token was revoked. Tokens must then have a subject.
    pub fn revocation(mut self, store: impl RevocationStore) -> Self {
        self.rules = self.rules.revocation(store);
        self
    }

    /// Sets the clock: the system clock by default.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.rules = self.rules.clock(clock);
        self
    }

    /// Sets for how long the answer that a token is active is cached: [60
    /// seconds](DEFAULT_INTROSPECTION_CACHE_FOR) by default, [1 hour](MAX_INTROSPECTION_CACHE_FOR) at most,
    /// and never beyond its `exp`. With zero, the server is asked for each request, as it is without the
    /// feature `cache`.
    ///
    /// # Security
    ///
    /// A token that was revoked at the server is still accepted for that long (RFC 7662 section 4).
    pub fn cache_for(mut self, duration: Duration) -> Self {
        self.cache_for = duration;
        self
    }

    /// Sets how many tokens are cached: [16,384](super::DEFAULT_INTROSPECTED_TOKENS) by default, with about 2
    /// KiB each.
    #[cfg(feature = "cache")]
    pub fn cached_tokens(mut self, count: usize) -> Self {
        self.cached_tokens = count;
        self
    }

    /// Takes every credential, even if it has the form of a JWT. Use it for a server whose tokens are JWTs,
    /// if they must become invalid as soon as the server revokes them.
    pub fn accept_all(mut self) -> Self {
        self.accept_all = true;
        self
    }

    /// Adds an origin, such as `https://api.idp.example`, at which the endpoint may be according to the
    /// issuer's metadata. By default, it must be at the origin of the issuer.
    ///
    /// # Security
    ///
    /// Tokens and the credentials of this service are sent there.
    pub fn allow_endpoint_at(mut self, origin: impl Into<String>) -> Self {
        self.elsewhere.push(origin.into());
        self
    }

    /// Allows requests over plain http to this machine, for development and tests.
    pub fn allow_loopback(mut self) -> Self {
        self.addresses.loopback = true;
        self
    }

    /// Allows requests to hosts in private networks, such as a server in the same cluster. They still need
    /// https.
    ///
    /// # Security
    ///
    /// Anybody who can change the issuer's metadata or its DNS records can then make this service send
    /// requests into its own network.
    pub fn allow_private_network(mut self) -> Self {
        self.addresses.private = true;
        self
    }

    /// Sets the HTTP client that sends the requests, instead of an [`HttpsClient`].
    pub fn client(mut self, client: impl HttpClient) -> Self {
        self.client = Some(Arc::new(client));
        self
    }

    /// Builds the verifier. It sends no request, so it succeeds even if the server is down.
    ///
    /// # Errors
    ///
    /// Fails if
    ///
    /// - a URL does not begin with `https://`, or leads to a private host, unless that is allowed;
    /// - there are no credentials of this service, or several, or they are empty or malformed;
    /// - there is no audience, and [`dangerous_no_audience`](Self::dangerous_no_audience) was not called;
    /// - an issuer, an audience or a list of values is empty, or the path of a member is malformed;
    /// - `cache_for` is longer than 1 hour, or the leeway longer than 300 seconds;
    /// - there are no certificates to trust.
    pub fn build(self) -> Result<Introspection, ConfigError> {
        let auth = match <[ClientAuth; 1]>::try_from(self.auth) {
            Ok([auth]) => auth,
            Err(all) if all.is_empty() => {
                return Err(ConfigError::invalid(
                    "introspection needs credentials of this service (RFC 7662 section 2.1): call \
                     `client_secret_basic`, `client_secret_post` or `bearer_token`",
                ));
            }
            Err(_) => {
                return Err(ConfigError::invalid(
                    "introspection has several credentials of this service: call only one of \
                     `client_secret_basic`, `client_secret_post` and `bearer_token`, once",
                ));
            }
        };
        if let Some(problem) = auth.problem() {
            return Err(ConfigError::invalid(problem));
        }
        if self.cache_for > MAX_INTROSPECTION_CACHE_FOR {
            return Err(ConfigError::invalid(format!(
                "`cache_for` is {} seconds, but a token that was revoked must not be accepted for more than 1 \
                 hour (3600 seconds)",
                self.cache_for.as_secs()
            )));
        }
        let rules = self.addresses;
        let endpoint = match self.place {
            Place::Endpoint(url) => {
                Endpoint::At(Address::parse(&url, &rules).map_err(ConfigError::invalid)?)
            }
            Place::Issuer(issuer) => {
                let sought = &Sought::INTROSPECTION;
                let discovery = Discovery::new(issuer, &self.elsewhere, rules.clone(), sought);
                Endpoint::discovered(discovery.map_err(ConfigError::invalid)?)
            }
        };
        let judge_rules = if self.has_issuer {
            self.rules
        } else {
            self.rules.dangerous_no_issuer()
        };
        let judge = judge_rules.into_judge()?;
        let client = match self.client {
            Some(client) => client,
            None => Arc::new(HttpsClient::builder().rules(rules).build()?),
        };
        #[cfg(feature = "cache")]
        let memory = Memory::new(self.cached_tokens, self.cache_for);
        #[cfg(not(feature = "cache"))]
        let memory = Memory;
        Ok(Introspection::new(Asker {
            endpoint,
            client,
            auth,
            outage: Outage::new(Arc::clone(&judge.clock)),
            judge,
            cache_for: self.cache_for,
            accept_all: self.accept_all,
            memory,
            bounds: Bounds::default(),
        }))
    }
}

impl fmt::Debug for IntrospectionBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntrospectionBuilder")
            .field("auth", &self.auth)
            .finish_non_exhaustive()
    }
}
