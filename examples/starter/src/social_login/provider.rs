//! [`Provider`]: a place where users may log in, whatever its protocol.

use std::fmt;
use std::sync::Arc;

use url::Url;

use super::ProviderSettings;
use super::begun::Started;
use super::exchange::Registration;
use super::github::GitHub;
use super::openid::OpenId;
use super::refusal::Refusal;
use super::settings::ProviderKind;
use crate::error::Error;
use crate::typed::Email;

/// The longest subject (OpenID Connect Core section 2).
const MAX_SUBJECT_BYTES: usize = 255;

/// A provider. Cheap to clone.
#[derive(Clone)]
pub(super) struct Provider {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) issuer: String,
    speaks: Speaks,
}

#[derive(Clone)]
enum Speaks {
    OpenId(Arc<OpenId>),
    GitHub(Arc<GitHub>),
}

/// A user who has logged in at a provider.
pub(super) struct Identity {
    pub(super) issuer: String,
    pub(super) subject: String,
    /// The address, if the provider has verified it.
    pub(super) email: Option<Email>,
    /// When the user last authenticated at the provider, in seconds since 1970. If the provider does not
    /// tell, this is the current time.
    pub(super) auth_time: i64,
}

/// The parameters that a browser brings back, besides the state.
pub(super) struct Response<'a> {
    pub(super) code: Option<&'a str>,
    pub(super) issuer: Option<&'a str>,
    pub(super) error: Option<&'a str>,
}

// === impl Provider ===

impl Provider {
    /// Sets up a provider. It sends browsers back to `public_url`.
    pub(super) fn new(
        settings: &ProviderSettings,
        client: &reqwest::Client,
        public_url: &str,
    ) -> Result<Self, Error> {
        let id = settings.id.clone();
        let public_url = public_url.trim_end_matches('/');
        let registration = Registration {
            client_id: settings.client_id.clone(),
            client_secret: settings.client_secret.clone(),
            redirect_uri: format!("{public_url}/auth/login/{id}/callback"),
        };
        let issuer = &settings.issuer;
        let (issuer, speaks) = match settings.kind {
            ProviderKind::OpenId => {
                let speaks = OpenId::new(issuer, registration, client);
                (issuer.as_str(), Speaks::OpenId(Arc::new(speaks)))
            }
            ProviderKind::GitHub => {
                let speaks = GitHub::new(issuer, registration, client)?;
                (
                    issuer.trim_end_matches('/'),
                    Speaks::GitHub(Arc::new(speaks)),
                )
            }
        };
        Ok(Self {
            id,
            name: settings.name.clone(),
            issuer: issuer.to_owned(),
            speaks,
        })
    }

    /// Returns the URL to send a browser to. With `fresh`, an OpenID Connect provider asks for the password even if
    /// the user is logged in there. GitHub cannot do that: it only lets the user choose an account.
    pub(super) async fn authorization(
        &self,
        started: &Started,
        fresh: bool,
    ) -> Result<Url, Refusal> {
        let Started {
            state,
            nonce,
            challenge,
            ..
        } = started;
        match &self.speaks {
            Speaks::OpenId(openid) => openid.authorization(state, nonce, challenge, fresh).await,
            Speaks::GitHub(github) => Ok(github.authorization(state, challenge, fresh)),
        }
    }

    /// Returns the user who has logged in.
    pub(super) async fn identify(
        &self,
        response: &Response<'_>,
        verifier: &str,
        nonce: &str,
    ) -> Result<Identity, Refusal> {
        // Comes first, because an error may also come from another issuer.
        match &self.speaks {
            Speaks::OpenId(openid) => openid.check_issuer(response.issuer).await?,
            Speaks::GitHub(github) => github.check_issuer(response.issuer)?,
        }
        if let Some(error) = response.error {
            return Err(denied(error));
        }
        let code = response.code.filter(|code| !code.is_empty());
        let code = code.ok_or(Refusal::NotConfirmed("no_code"))?;
        let identity = match &self.speaks {
            Speaks::OpenId(openid) => openid.identify(code, verifier, nonce).await?,
            Speaks::GitHub(github) => github.identify(code, verifier).await?,
        };
        let subject = identity.subject.as_bytes();
        let plain = subject.iter().all(|byte| matches!(byte, b' '..=b'~'));
        if subject.is_empty() || subject.len() > MAX_SUBJECT_BYTES || !plain {
            return Err(Refusal::NotConfirmed("subject_malformed"));
        }
        Ok(identity)
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("id", &self.id)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

/// Converts the error of an authorization response (RFC 6749 section 4.1.2.1, OpenID Connect Core section
/// 3.1.2.6).
fn denied(error: &str) -> Refusal {
    match error {
        "server_error" | "temporarily_unavailable" => Refusal::Unavailable,
        "access_denied"
        | "login_required"
        | "consent_required"
        | "interaction_required"
        | "account_selection_required" => Refusal::Denied,
        _ => Refusal::NotConfirmed("error_of_the_provider"),
    }
}
