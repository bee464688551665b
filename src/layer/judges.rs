//! [`Judges`]: chooses what verifies a credential.

use std::sync::Arc;

use crate::credential::{CredentialVerifier, DynCredentialVerifier};
use crate::error::{AuthError, AuthErrorKind, Reason};
use crate::policy::Possession;
use crate::verifier::{Progress, TokenVerifier};

/// The verifier of JWTs, and the judges of other credentials.
#[derive(Debug, Clone)]
pub(super) struct Judges {
    verifier: Option<TokenVerifier>,
    others: Vec<Other>,
}

#[derive(Debug, Clone)]
struct Other {
    judge: Arc<dyn DynCredentialVerifier>,
    /// The source that belongs to this judge. A judge without one takes credentials of its form from all
    /// other sources.
    source: Option<usize>,
}

// === impl Judges ===

impl Judges {
    pub(super) const fn new(verifier: Option<TokenVerifier>) -> Self {
        Self {
            verifier,
            others: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, verifier: impl CredentialVerifier, source: Option<usize>) {
        let judge = Arc::new(verifier);
        self.others.push(Other { judge, source });
    }

    /// Passes a credential to exactly one judge, chosen by the source of the credential, or else by its form.
    pub(super) fn start(
        &self,
        credential: &[u8],
        source: Option<usize>,
        held: &Possession,
    ) -> Progress {
        if !self.others.is_empty()
            && let Some((judge, text)) = self.judge_of(credential, source)
        {
            return Arc::clone(judge).start(text, held);
        }
        match &self.verifier {
            Some(verifier) => verifier.start(credential, held),
            None => Progress::Done(Err(nobody())),
        }
    }

    fn judge_of<'c>(
        &self,
        credential: &'c [u8],
        source: Option<usize>,
    ) -> Option<(&Arc<dyn DynCredentialVerifier>, &'c str)> {
        let owner = source.and_then(|source| {
            let owns = |other: &&Other| other.source == Some(source);
            self.others.iter().find(owns)
        });
        let Ok(text) = std::str::from_utf8(credential) else {
            // The owner of the source refuses the empty string like any other unknown credential.
            return owner.map(|owner| (&owner.judge, ""));
        };
        let by_form = || {
            let handles = |other: &&Other| other.source.is_none() && other.judge.handles(text);
            self.others.iter().find(handles)
        };
        Some((&owner.or_else(by_form)?.judge, text))
    }
}

fn nobody() -> AuthError {
    AuthError::new(AuthErrorKind::MalformedToken).because(&Reason {
        code: "unknown_form_of_credential",
        message: "the credential does not have the form of any that the layer takes",
    })
}
