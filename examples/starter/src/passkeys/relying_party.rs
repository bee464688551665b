//! [`RelyingParty`]: the name and domain of passkeys, and what the library checks in each answer.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::Value;
use sha2::{Digest, Sha256};
use webauthn_rs::prelude::{
    AuthenticationResult, DiscoverableAuthentication, Passkey, PasskeyRegistration,
    PublicKeyCredential, RegisterPublicKeyCredential, Url, Uuid, WebauthnError,
};
use webauthn_rs::{Webauthn, WebauthnBuilder};

use super::ceremonies::LIFETIME;
use crate::accounts::User;
use crate::error::Error;
use crate::problem::Problem;

/// The domain that browsers accept without TLS, for a service on the same machine.
const LOCALHOST: &str = "localhost";

/// The service as browsers and authenticators know it.
#[derive(Debug, Clone)]
pub(super) struct RelyingParty(Arc<Webauthn>);

/// A request for a browser, and what is needed to check the answer.
pub(super) struct Question {
    /// The argument of `navigator.credentials`, in the JSON format of WebAuthn Level 3.
    pub(super) options: Value,
    /// The state that must stay on the server.
    pub(super) state: String,
}

/// Why an answer was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    UnknownPasskey,
    WrongUser,
    WrongSignature,
    WrongChallenge,
    WrongOrigin,
    WrongRpId,
    NotVerified,
    PossibleCopy,
    BackupChanged,
    Unsupported,
    Malformed,
}

// === impl RelyingParty ===

impl RelyingParty {
    /// Sets up passkeys for the domain of `PUBLIC_URL`. On a developer's machine that is `localhost`, at
    /// any port. Returns `None` if the URL has no domain, because passkeys belong to a domain.
    pub(super) fn new(name: &str, public_url: &str) -> Result<Option<Self>, Error> {
        let mut origin = Url::parse(public_url)
            .map_err(|error| format!("PUBLIC_URL: {public_url:?} is not a URL: {error}"))?;
        let host = origin.host_str().unwrap_or_default().to_owned();
        let is_local = matches!(host.as_str(), LOCALHOST | "127.0.0.1" | "[::1]");
        if is_local {
            origin.set_host(Some(LOCALHOST))?;
        }
        let Some(domain) = origin.domain().map(str::to_owned) else {
            tracing::warn!(
                "passkeys are not offered: PUBLIC_URL has an IP address instead of a domain"
            );
            return Ok(None);
        };
        let lifetime = std::time::Duration::from_secs(LIFETIME.unsigned_abs());
        let webauthn = WebauthnBuilder::new(&domain, &origin)?
            .rp_name(name)
            .timeout(lifetime)
            .allow_any_port(is_local)
            .build()?;
        Ok(Some(Self(Arc::new(webauthn))))
    }

    /// Asks for a new passkey, from a device that has none of the `known` ones. It must be discoverable, so
    /// that it can log in although no name was typed.
    pub(super) fn ask_for_new(&self, user: &User, known: &[Passkey]) -> Result<Question, Problem> {
        let known = known.iter().map(|known| known.cred_id().clone()).collect();
        let handle = handle_of(&user.id);
        let asked =
            self.0
                .start_passkey_registration(handle, &user.email, &user.email, Some(known));
        let (options, state) = asked.map_err(|error| Problem::internal(&error))?;
        let mut question = Question::new(&options, &state)?;
        let selection = &mut question.options["authenticatorSelection"];
        selection["residentKey"] = "required".into();
        selection["requireResidentKey"] = true.into();
        Ok(question)
    }

    /// Asks for a proof of any passkey, or of one of these. The device always verifies its user.
    pub(super) fn ask_for_proof(&self, of: &[Passkey]) -> Result<Question, Problem> {
        let internal = |error: WebauthnError| Problem::internal(&error);
        let asked = self.0.start_discoverable_authentication();
        let (mut options, state) = asked.map_err(internal)?;
        // A button was pressed, so the browser opens its dialog at once and does not wait for a field.
        options.mediation = None;
        if !of.is_empty() {
            let (named, _) = self.0.start_passkey_authentication(of).map_err(internal)?;
            options.public_key.allow_credentials = named.public_key.allow_credentials;
        }
        Question::new(&options, &state)
    }

    /// Returns the new passkey if the answer is valid.
    pub(super) fn new_passkey(
        &self,
        state: &str,
        answer: &RegisterPublicKeyCredential,
    ) -> Result<Result<Passkey, Refusal>, Problem> {
        let state: PasskeyRegistration = stored(state)?;
        let made = self.0.finish_passkey_registration(answer, &state);
        Ok(made.map_err(|error| Refusal::of(&error)))
    }

    /// Checks the proof of this passkey. It must be the passkey as it is stored now: the state contains
    /// none, so that no old counter is compared.
    pub(super) fn proof(
        &self,
        state: &str,
        answer: &PublicKeyCredential,
        passkey: &Passkey,
    ) -> Result<Result<AuthenticationResult, Refusal>, Problem> {
        let state: DiscoverableAuthentication = stored(state)?;
        let proof = self
            .0
            .finish_discoverable_authentication_v2(answer, state, passkey);
        Ok(proof.map_err(|error| Refusal::of(&error)))
    }
}

// === impl Question ===

impl Question {
    fn new(
        options: &impl serde::Serialize,
        state: &impl serde::Serialize,
    ) -> Result<Self, Problem> {
        let internal = |error: serde_json::Error| Problem::internal(&error);
        let mut options = serde_json::to_value(options).map_err(internal)?;
        Ok(Self {
            options: options["publicKey"].take(),
            state: serde_json::to_string(state).map_err(internal)?,
        })
    }
}

// === impl Refusal ===

impl Refusal {
    fn of(error: &WebauthnError) -> Self {
        match error {
            WebauthnError::CredentialNotFound => Self::UnknownPasskey,
            WebauthnError::AuthenticationFailure | WebauthnError::SignatureInvalid => {
                Self::WrongSignature
            }
            WebauthnError::MismatchedChallenge => Self::WrongChallenge,
            WebauthnError::InvalidRPOrigin | WebauthnError::CredentialCrossOrigin => {
                Self::WrongOrigin
            }
            WebauthnError::InvalidRPIDHash => Self::WrongRpId,
            WebauthnError::UserNotPresent | WebauthnError::UserNotVerified => Self::NotVerified,
            WebauthnError::CredentialPossibleCompromise => Self::PossibleCopy,
            WebauthnError::CredentialBackupEligibilityInconsistent
            | WebauthnError::CredentialMayNotBeHardwareBound => Self::BackupChanged,
            WebauthnError::CredentialAlteredAlgFromRequest
            | WebauthnError::AttestationNotSupported
            | WebauthnError::COSEKeyInvalidAlgorithm
            | WebauthnError::COSEKeyEDUnsupported => Self::Unsupported,
            _ => Self::Malformed,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::UnknownPasskey => "unknown_passkey",
            Self::WrongUser => "wrong_user",
            Self::WrongSignature => "wrong_signature",
            Self::WrongChallenge => "wrong_challenge",
            Self::WrongOrigin => "wrong_origin",
            Self::WrongRpId => "wrong_rp_id",
            Self::NotVerified => "user_not_verified",
            Self::PossibleCopy => "possible_copy",
            Self::BackupChanged => "backup_changed",
            Self::Unsupported => "unsupported",
            Self::Malformed => "malformed",
        }
    }

    fn detail(self) -> &'static str {
        match self {
            Self::UnknownPasskey => {
                "This passkey is not registered here, or it was removed. Use another one."
            }
            Self::WrongUser => "This passkey belongs to another account.",
            Self::WrongSignature => "The signature of the passkey is wrong.",
            Self::WrongChallenge => "The passkey has answered another request. Start again.",
            Self::WrongOrigin => "The passkey was used on a site other than `PUBLIC_URL`.",
            Self::WrongRpId => "The passkey belongs to another site.",
            Self::NotVerified => {
                "The device has not verified its user. Unlock it with a PIN, fingerprint or face."
            }
            Self::PossibleCopy => {
                "The counter of this passkey has gone back, so there may be a copy of it. It is not \
                 accepted any more. Log in another way, and remove it."
            }
            Self::BackupChanged => {
                "The backup state of the passkey has changed since it was registered."
            }
            Self::Unsupported => {
                "The device uses a kind of key or of attestation that is not supported here."
            }
            Self::Malformed => "The answer of the passkey is malformed.",
        }
    }

    /// Returns the response for the client.
    pub(super) fn problem(self, status: StatusCode) -> Problem {
        Problem::new(status, "invalid_passkey", self.detail()).reason(self.name())
    }
}

/// Returns what an authenticator stores in place of the user's id.
pub(super) fn handle_of(user: &str) -> Uuid {
    let digest = Sha256::digest(format!("passkeys of {user}"));
    let mut handle = [0; 16];
    handle.copy_from_slice(&digest[..16]);
    Uuid::from_bytes(handle)
}

/// Parses a state that this service has written itself.
fn stored<T: serde::de::DeserializeOwned>(state: &str) -> Result<T, Problem> {
    serde_json::from_str(state).map_err(|error| Problem::internal(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(public_url: &str) -> Option<(String, String)> {
        let party = RelyingParty::new("service", public_url).unwrap()?;
        let question = party.ask_for_proof(&[]).unwrap();
        let origin = party.0.get_allowed_origins()[0].to_string();
        Some((question.options["rpId"].as_str()?.to_owned(), origin))
    }

    #[test]
    fn the_id_is_the_domain_of_the_public_url() {
        for (url, id, origin) in [
            (
                "https://auth.example.com",
                "auth.example.com",
                "https://auth.example.com/",
            ),
            (
                "https://a.example:8443",
                "a.example",
                "https://a.example:8443/",
            ),
            (
                "http://127.0.0.1:3000",
                "localhost",
                "http://localhost:3000/",
            ),
            ("http://[::1]:3000", "localhost", "http://localhost:3000/"),
        ] {
            assert_eq!(ids(url), Some((id.to_owned(), origin.to_owned())), "{url}");
        }
        assert_eq!(ids("http://192.0.2.7:3000"), None);
    }

    #[test]
    fn a_proof_is_asked_for_with_verification_of_the_user() {
        let party = RelyingParty::new("service", "https://a.example").unwrap();
        let question = party.unwrap().ask_for_proof(&[]).unwrap();
        assert_eq!(question.options["userVerification"], "required");
        assert_eq!(question.options["timeout"], LIFETIME * 1000);
    }
}
