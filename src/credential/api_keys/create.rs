//! [`CreateApiKey`]: a key that is about to be created.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::core::Core;
use super::error::{ApiKeyError, ApiKeyErrorKind};
use super::key::ApiKey;
use super::known::{Known, Payload};
use super::{ApiKeyEvent, ApiKeys};
use crate::api_key::{ApiKeyRecord, ApiKeyTarget};
use crate::claims::{RESERVED_CLAIMS, is_scope_token};
use crate::clock::{as_micros, unix_micros};

/// The longest id of an owner, in bytes.
const MAX_OWNER_BYTES: usize = 1024;
/// The longest label, in characters.
const MAX_LABEL_CHARS: usize = 200;
/// The most scopes, and the most roles.
const MAX_NAMES: usize = 100;
/// The longest scope or role, in bytes.
const MAX_NAME_BYTES: usize = 256;
/// The most claims.
const MAX_CLAIMS: usize = 32;
/// The largest size of scopes, roles and claims together, in bytes of JSON.
const MAX_PAYLOAD_BYTES: usize = 4096;
/// The longest lifetime: 100 years.
const MAX_LIFETIME: Duration = Duration::from_secs(100 * 366 * 86_400);
/// The names that have setters of their own, besides the reserved ones.
const SET_OTHERWISE: [&str; 2] = ["roles", "gen"];

/// A key that is about to be created: made by [`ApiKeys::create`], and created by [`issue`](Self::issue).
#[must_use = "no key is created until `issue()`"]
pub struct CreateApiKey<'a> {
    keys: &'a ApiKeys,
    owner: String,
    label: Option<String>,
    payload: Payload,
    expiry: Option<Expiry>,
    /// The first thing that is wrong.
    problem: Option<ApiKeyError>,
}

enum Expiry {
    In(Duration),
    At(SystemTime),
}

/// A key that was just created, and the only copy of its text.
///
/// `Debug` does not show the text, and dropping it wipes its memory. With the feature `axum` it is a
/// response: status 201, the text of the key and what its [description](ApiKey) contains as JSON, and
/// `Cache-Control: no-store`.
#[must_use = "the text of the key is nowhere else"]
pub struct NewApiKey {
    description: ApiKey,
    text: Zeroizing<String>,
}

/// A stored key whose text has not reached the caller yet. If it is dropped, the key is deleted, because
/// nobody can use it.
struct Undelivered {
    core: Arc<Core>,
    id: Option<String>,
}

// === impl CreateApiKey ===

impl<'a> CreateApiKey<'a> {
    pub(super) fn new(keys: &'a ApiKeys, owner: String) -> Self {
        Self {
            keys,
            owner,
            label: None,
            payload: Payload::default(),
            expiry: None,
            problem: None,
        }
    }

    /// Sets the name that the owner sees in the list of keys, such as the name of a program: at most 200
    /// characters, without control characters.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Adds a scope, or several that are separated by spaces. A key may have at most 100 scopes of at most 256
    /// bytes each.
    pub fn scope(mut self, scope: impl AsRef<str>) -> Self {
        for scope in scope.as_ref().split(' ').filter(|scope| !scope.is_empty()) {
            self.payload.scopes.push(scope.to_owned());
        }
        self
    }

    /// Adds several scopes.
    pub fn scopes<S: AsRef<str>>(self, scopes: impl IntoIterator<Item = S>) -> Self {
        scopes.into_iter().fold(self, |key, scope| key.scope(scope))
    }

    /// Adds a role. A key may have at most 100 roles of at most 256 bytes each. An empty string is ignored.
    pub fn role(mut self, role: impl AsRef<str>) -> Self {
        let role = role.as_ref();
        if !role.is_empty() {
            self.payload.roles.push(role.to_owned());
        }
        self
    }

    /// Adds several roles.
    pub fn roles<S: AsRef<str>>(self, roles: impl IntoIterator<Item = S>) -> Self {
        roles.into_iter().fold(self, |key, role| key.role(role))
    }

    /// Adds a claim that handlers and guards can read, such as a tenant. A key may have at most 32 claims.
    /// [Registered](RESERVED_CLAIMS) names are refused.
    pub fn claim(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        let name = name.into();
        if RESERVED_CLAIMS.contains(&&*name) || SET_OTHERWISE.contains(&&*name) {
            let shown = name.escape_default().take(64).collect::<String>();
            self.fail(format!(
                "the claim `{shown}` is reserved: choose another name"
            ));
            return self;
        }
        match serde_json::to_value(value) {
            Ok(value) => {
                self.payload.claims.insert(name, value);
            }
            Err(_) => {
                let shown = name.escape_default().take(64).collect::<String>();
                self.fail(format!("the claim `{shown}` cannot be written as JSON"));
            }
        }
        self
    }

    /// Sets the lifetime of the key, which begins when the key is created: at most 100 years. If neither this
    /// nor [`expires_at`](Self::expires_at) is called, the key is valid until it is revoked.
    pub fn expires_in(mut self, lifetime: Duration) -> Self {
        self.expiry = Some(Expiry::In(lifetime));
        self
    }

    /// Sets the time from which the key is refused. If neither this nor [`expires_in`](Self::expires_in) is
    /// called, the key is valid until it is revoked.
    pub fn expires_at(mut self, time: SystemTime) -> Self {
        self.expiry = Some(Expiry::At(time));
        self
    }

    /// Creates the key.
    ///
    /// If the request is dropped before this ends, the key is deleted again, because nobody has its text.
    ///
    /// # Errors
    ///
    /// - [`LimitReached`](ApiKeyErrorKind::LimitReached): the owner has as many keys as
    ///   [allowed](super::ApiKeysBuilder::max_keys_per_owner). Expired keys do not count.
    /// - [`Invalid`](ApiKeyErrorKind::Invalid): the owner, the label, a scope, a role, a claim or the
    ///   expiry is not allowed. The error says why.
    /// - [`Unavailable`](ApiKeyErrorKind::Unavailable): the store is unavailable. If the key was stored
    ///   nevertheless, it is deleted again. If that fails as well, it stays in the owner's list, but
    ///   nobody has its text.
    /// - [`Internal`](ApiKeyErrorKind::Internal): the operating system provides no randomness.
    pub async fn issue(mut self) -> Result<NewApiKey, ApiKeyError> {
        if let Some(problem) = self.problem.take() {
            return Err(problem);
        }
        let inner = &self.keys.inner;
        let now = inner.core.now();
        let payload = self.check()?;
        let made = inner.form.make().ok_or(ApiKeyErrorKind::Internal)?;
        let mut record = ApiKeyRecord::new(made.id, self.owner, now);
        record.secret_digest = made.digest;
        record.label = self.label;
        record.payload = payload;
        record.expires_at = self.expiry.map(|expiry| expiry.micros(now)).transpose()?;
        // A key that could not be read again must not be stored.
        Known::of(&record, inner.core.issuer.as_deref()).map_err(|_| {
            ApiKeyError::invalid("a claim is nested too deeply: use at most 30 levels")
        })?;
        let description = ApiKey::of(&record)?;
        let (core, max) = (Arc::clone(&inner.core), inner.max_keys_per_owner);
        let store = async move { Undelivered::store(core, &record, max).await };
        self.keys.whole(store).await?.delivered();
        inner.core.events.tell(&ApiKeyEvent::Created {
            owner: &description.owner,
            id: &description.id,
        });
        Ok(NewApiKey {
            description,
            text: made.text,
        })
    }

    /// Checks everything but the expiry, and returns the payload as JSON.
    fn check(&self) -> Result<String, ApiKeyError> {
        let invalid = |message: String| Err(ApiKeyError::invalid(message));
        if !can_be_owner(&self.owner) {
            return invalid(format!(
                "the owner must have 1 to {MAX_OWNER_BYTES} bytes, without a NUL"
            ));
        }
        let label = self.label.as_deref().unwrap_or_default();
        if label.chars().count() > MAX_LABEL_CHARS || label.chars().any(char::is_control) {
            return invalid(format!(
                "the label must have at most {MAX_LABEL_CHARS} characters, without control characters"
            ));
        }
        let Payload {
            scopes,
            roles,
            claims,
        } = &self.payload;
        if !scopes.iter().all(|scope| is_scope_token(scope)) {
            return invalid(
                "a scope contains a character that RFC 6749 section 3.3 forbids: use printable ASCII \
                 characters other than `\"` and `\\`"
                    .to_owned(),
            );
        }
        for (what, names) in [("scopes", scopes), ("roles", roles)] {
            if names.len() > MAX_NAMES || names.iter().any(|name| name.len() > MAX_NAME_BYTES) {
                return invalid(format!(
                    "an API key may have {MAX_NAMES} {what} of {MAX_NAME_BYTES} bytes: use fewer or \
                     shorter ones"
                ));
            }
        }
        check_claims(claims)?;
        let payload = serde_json::to_string(&self.payload)
            .map_err(|_| ApiKeyError::invalid("a claim cannot be written as JSON"))?;
        if payload.len() > MAX_PAYLOAD_BYTES {
            return invalid(format!(
                "the scopes, roles and claims of an API key have {} bytes together, but at most \
                 {MAX_PAYLOAD_BYTES} are allowed: use fewer or shorter ones",
                payload.len()
            ));
        }
        Ok(payload)
    }

    /// Keeps the first problem, which [`issue`](Self::issue) returns.
    fn fail(&mut self, problem: String) {
        self.problem
            .get_or_insert_with(|| ApiKeyError::invalid(problem));
    }
}

fn check_claims(claims: &Map<String, Value>) -> Result<(), ApiKeyError> {
    if claims.len() > MAX_CLAIMS || claims.keys().any(|name| name.len() > MAX_NAME_BYTES) {
        return Err(ApiKeyError::invalid(format!(
            "an API key may have {MAX_CLAIMS} claims, with names of {MAX_NAME_BYTES} bytes: use fewer \
             or shorter ones"
        )));
    }
    Ok(())
}

/// Whether keys can be stored for this owner: PostgreSQL refuses a NUL.
pub(super) fn can_be_owner(owner: &str) -> bool {
    (1..=MAX_OWNER_BYTES).contains(&owner.len()) && !owner.contains('\0')
}

impl fmt::Debug for CreateApiKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateApiKey").finish_non_exhaustive()
    }
}

// === impl Expiry ===

impl Expiry {
    /// The time in microseconds, if it is after `now` and not too far away.
    fn micros(self, now: u64) -> Result<u64, ApiKeyError> {
        let expiry = match self {
            Self::In(lifetime) => now.saturating_add(as_micros(lifetime)),
            Self::At(time) => unix_micros(time),
        };
        if expiry <= now || expiry - now > as_micros(MAX_LIFETIME) {
            return Err(ApiKeyError::invalid(
                "the expiry of an API key must be in the future, and within 100 years: set another one, \
                 or none for a key that does not expire",
            ));
        }
        Ok(expiry)
    }
}

// === impl NewApiKey ===

impl NewApiKey {
    /// Returns the text of the key. Show it only to the owner. It is not stored anywhere: an owner who loses
    /// it needs another key.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the id of the key.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.description.id
    }

    /// Returns everything but the text.
    #[must_use]
    pub fn description(&self) -> &ApiKey {
        &self.description
    }
}

impl fmt::Debug for NewApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewApiKey")
            .field("description", &self.description)
            .field("text", &"[redacted]")
            .finish()
    }
}

// === impl Undelivered ===

impl Undelivered {
    async fn store(core: Arc<Core>, record: &ApiKeyRecord, max: u32) -> Result<Self, ApiKeyError> {
        // From here on, the key may have been stored even if the answer is lost.
        let id = record.id.clone();
        let mut undelivered = Self { core, id: Some(id) };
        if !undelivered.core.store.insert(record, max).await? {
            undelivered.id = None;
            return Err(ApiKeyErrorKind::LimitReached.into());
        }
        Ok(undelivered)
    }

    fn delivered(mut self) {
        self.id = None;
    }
}

impl Drop for Undelivered {
    fn drop(&mut self) {
        let (Some(id), Ok(runtime)) = (self.id.take(), tokio::runtime::Handle::try_current())
        else {
            return;
        };
        let core = Arc::clone(&self.core);
        runtime.spawn(async move {
            let _ = core.store.revoke(ApiKeyTarget::Key(&id), 1).await;
        });
    }
}
