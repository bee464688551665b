//! [`IntrospectionBuilder`]: whom to ask, as whom, and what an answer must say.

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

/// How long the answer that a token is active is used, unless said otherwise: 60 seconds. A token that was
/// revoked at its server is accepted for that long.
pub const DEFAULT_CACHE_FOR: Duration = Duration::from_secs(60);
/// The longest time for which an answer can be used: 1 hour. Whoever can live with more does not need
/// introspection.
pub const MAX_CACHE_FOR: Duration = Duration::from_secs(3600);
/// How many tokens have a place in the cache unless said otherwise: 16,384, in about 2 KiB each.
#[cfg(feature = "cache")]
pub const DEFAULT_INTROSPECTED_TOKENS: usize = 16_384;

/// Builds an [`Introspection`].
#[derive(Clone)]
#[must_use = "a builder does nothing until `build()`"]
pub struct IntrospectionBuilder {
    place: Place,
    elsewhere: Vec<String>,
    addresses: AddressRules,
    auth: Vec<ClientAuth>,
    /// The rules for answers: those of a verifier.
    rules: TokenVerifierBuilder,
    has_issuer: bool,
    cache_for: Duration,
    #[cfg(feature = "cache")]
    cached_tokens: usize,
    takes_all: bool,
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
            cache_for: DEFAULT_CACHE_FOR,
            #[cfg(feature = "cache")]
            cached_tokens: DEFAULT_INTROSPECTED_TOKENS,
            takes_all: false,
            client: None,
        }
    }

    /// Sends the credentials of this service in the `Authorization` header (HTTP Basic, RFC 6749
    /// section 2.3.1). Both are form-encoded first, as the RFC says. Most servers expect this.
    pub fn client_secret_basic(mut self, id: impl Into<String>, secret: impl Into<String>) -> Self {
        self.auth.push(ClientAuth::Basic {
            id: id.into(),
            secret: Zeroizing::new(secret.into()),
        });
        self
    }

    /// Sends the credentials of this service in the body, as `client_id` and `client_secret`.
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

    /// Sets the issuer: an answer with another `iss` is refused, and one without `iss` counts as that of
    /// this issuer. With [`Introspection::builder`], it is set already.
    ///
    /// A subject is unique within its issuer only. Set it if the layer also takes tokens of others.
    pub fn issuer(self, issuer: impl Into<String>) -> Self {
        self.issuers([issuer.into()])
    }

    /// Sets the names of an issuer that has several. An answer without `iss` counts as that of the first.
    pub fn issuers(mut self, names: impl Names) -> Self {
        self.has_issuer = true;
        self.rules = self.rules.issuers(names);
        self
    }

    /// Adds an audience: tokens whose `aud` is or contains this are accepted. Call it again to add more.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.rules = self.rules.audience(audience);
        self
    }

    /// Compares the [audiences](Self::audience) with this member instead of `aud`, for a server that
    /// writes them elsewhere. See
    /// [`TokenVerifierBuilder::audience_claim`](crate::verifier::TokenVerifierBuilder::audience_claim).
    pub fn audience_claim(mut self, path: impl AsRef<str>) -> Self {
        self.rules = self.rules.audience_claim(path);
        self
    }

    /// Accepts tokens for any audience, or for none.
    ///
    /// # Security
    ///
    /// A token that a user gave to another service opens this one too. And many servers answer about
    /// refresh tokens as well, which nothing but the missing audience tells from access tokens at some of
    /// them: demand what yours writes for access tokens alone, such as
    /// [`require("token_type")`](Self::require) with npm `oidc-provider` and Spring Authorization Server.
    pub fn dangerous_no_audience(mut self) -> Self {
        self.rules = self.rules.dangerous_no_audience();
        self
    }

    /// Accepts tokens that are bound to a key (`cnf`, `token_type: DPoP`) as plain bearer tokens.
    ///
    /// # Security
    ///
    /// A stolen token then works without its key. Sound only where something in front of this
    /// service, such as a gateway, has checked the proof or the client certificate.
    pub fn dangerous_accept_bound_tokens(mut self) -> Self {
        self.rules = self.rules.dangerous_accept_bound_tokens();
        self
    }

    /// Reads the scopes from this member instead of `scope` and `scp`; see
    /// [`TokenVerifierBuilder::scope_claim`](crate::verifier::TokenVerifierBuilder::scope_claim).
    pub fn scope_claim(mut self, path: impl AsRef<str>) -> Self {
        self.rules = self.rules.scope_claim(path);
        self
    }

    /// Reads roles from this member; there are none by default. See
    /// [`TokenVerifierBuilder::role_claim`](crate::verifier::TokenVerifierBuilder::role_claim).
    pub fn role_claim(mut self, path: impl AsRef<str>) -> Self {
        self.rules = self.rules.role_claim(path);
        self
    }

    /// Refuses tokens about which the answer does not have this member, whatever its value.
    pub fn require(mut self, member: impl Into<String>) -> Self {
        self.rules = self.rules.require(member);
        self
    }

    /// Refuses tokens about which the answer does not have this member with one of these texts.
    pub fn claim_one_of<V: Into<String>>(
        mut self,
        path: impl AsRef<str>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        self.rules = self.rules.claim_one_of(path, values);
        self
    }

    /// Sets by how much clocks may differ: 30 seconds by default, 300 at most.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.rules = self.rules.leeway(leeway);
        self
    }

    /// Also asks this store whether a token was revoked. Tokens must then have a subject.
    pub fn revocation(mut self, store: impl RevocationStore) -> Self {
        self.rules = self.rules.revocation(store);
        self
    }

    /// Reads the time from this clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.rules = self.rules.clock(clock);
        self
    }

    /// Sets how long the answer that a token is active is used: [60 seconds](DEFAULT_CACHE_FOR) by
    /// default, 1 hour at most, and never longer than until its `exp`. With zero, the server is asked for
    /// each request, as it is without the feature `cache`.
    ///
    /// # Security
    ///
    /// A token that was revoked at its server is accepted for that long (RFC 7662 section 4).
    pub fn cache_for(mut self, duration: Duration) -> Self {
        self.cache_for = duration;
        self
    }

    /// Sets how many tokens have a place in the cache:
    /// [16,384](super::DEFAULT_INTROSPECTED_TOKENS) by default, in about 2 KiB each.
    #[cfg(feature = "cache")]
    pub fn cached_tokens(mut self, count: usize) -> Self {
        self.cached_tokens = count;
        self
    }

    /// Takes every credential, those in the form of a JWT included: for a server whose tokens are JWTs,
    /// if they must end as soon as it revokes them.
    pub fn takes_all(mut self) -> Self {
        self.takes_all = true;
        self
    }

    /// Also takes an endpoint at this origin, such as `https://api.idp.example`, where the issuer's
    /// metadata says that it is there. By default it must be at the issuer's own.
    ///
    /// # Security
    ///
    /// Tokens and the credentials of this service are sent there.
    pub fn allow_endpoint_at(mut self, origin: impl Into<String>) -> Self {
        self.elsewhere.push(origin.into());
        self
    }

    /// Also sends requests over plain http to this machine: for development and tests.
    pub fn allow_loopback(mut self) -> Self {
        self.addresses.loopback = true;
        self
    }

    /// Also sends requests to hosts in private networks, such as a server in the same cluster; over https
    /// still.
    ///
    /// # Security
    ///
    /// Whoever can change the issuer's metadata, or its name's address, can then make this service send
    /// requests into its own network.
    pub fn allow_private_network(mut self) -> Self {
        self.addresses.private = true;
        self
    }

    /// Sends requests by this client instead of an [`HttpsClient`].
    pub fn client(mut self, client: impl HttpClient) -> Self {
        self.client = Some(Arc::new(client));
        self
    }

    /// Builds the judge. It sends no request: a server that is down is no error.
    ///
    /// # Errors
    ///
    /// Fails if an address is not an https URL or leads to a private host, unless that is allowed; if
    /// there are no credentials for this service, or several; if there is no audience, and no word that
    /// this is meant; if `cache_for` is over 1 hour; if there are no certificates to trust.
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
        if self.cache_for > MAX_CACHE_FOR {
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
            takes_all: self.takes_all,
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
