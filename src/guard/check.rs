//! Checks that need I/O, and the future that waits for them.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use smallvec::SmallVec;

use super::require::Require;
use super::rule::{Lacking, Verdict, panicked};
use crate::error::{AuthError, AuthErrorKind};
use crate::verifier::VerifiedToken;

type Answer = Result<bool, AuthError>;
type Asking = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// A predicate of the application that needs I/O.
#[derive(Clone)]
pub(super) struct Check(Arc<dyn Fn(VerifiedToken) -> Asking + Send + Sync>);

/// The answers so far. A check that occurs twice in a requirement is called once.
#[derive(Default)]
pub(super) struct Known(SmallVec<[(usize, Answer); 2]>);

/// Calls one check after the other until the verdict is clear.
pub(super) struct Checking {
    require: Require,
    token: VerifiedToken,
    known: Known,
    asking: Option<(usize, Asking)>,
}

// === impl Check ===

impl Check {
    pub(super) fn new<T, F, Fut, E>(state: T, predicate: F) -> Self
    where
        T: Clone + Send + Sync + 'static,
        F: Fn(T, VerifiedToken) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<bool, E>> + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        Self(Arc::new(move |token| {
            let answer = predicate(state.clone(), token);
            Box::pin(async move { answer.await.map_err(|error| failed(error.into())) })
        }))
    }

    fn id(&self) -> usize {
        Arc::as_ptr(&self.0).cast::<()>() as usize
    }

    fn ask(&self, token: &VerifiedToken) -> Option<Asking> {
        catch_unwind(AssertUnwindSafe(|| (self.0)(token.clone()))).ok()
    }
}

/// Treats an error of the predicate as an outage, unless it is an [`AuthError`], which is used as it is.
fn failed(error: Box<dyn StdError + Send + Sync>) -> AuthError {
    match error.downcast::<AuthError>() {
        Ok(error) => *error,
        Err(error) => AuthError::new(AuthErrorKind::Unavailable)
            .because("a permission could not be looked up")
            .with_source(error),
    }
}

// === impl Known ===

impl Known {
    pub(super) fn verdict<'r>(&self, check: &'r Check) -> Verdict<'r> {
        let id = check.id();
        match self.0.iter().find(|(known, _)| *known == id) {
            Some((_, Ok(true))) => Verdict::Pass,
            Some((_, Ok(false))) => Verdict::Denied(Lacking::PERMISSION),
            Some((_, Err(error))) => Verdict::Failed(error.clone()),
            None => Verdict::Pending(check),
        }
    }
}

// === impl Checking ===

impl Checking {
    pub(super) fn new(require: Require, token: VerifiedToken) -> Self {
        Self {
            require,
            token,
            known: Known::default(),
            asking: None,
        }
    }
}

impl Future for Checking {
    type Output = Result<(), AuthError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            if let Some((id, asking)) = &mut this.asking {
                let poll = catch_unwind(AssertUnwindSafe(|| asking.as_mut().poll(cx)));
                let answer = match poll {
                    Ok(poll) => ready!(poll),
                    Err(_) => Err(panicked()),
                };
                this.known.0.push((*id, answer));
                this.asking = None;
            }
            let Self {
                require,
                token,
                known,
                asking,
            } = &mut *this;
            match require.judge(token, known) {
                Verdict::Pass => return Poll::Ready(Ok(())),
                Verdict::Denied(lacking) => {
                    return Poll::Ready(Err(require.denial(lacking, token)));
                }
                Verdict::Failed(error) => {
                    return Poll::Ready(Err(error.told_by(token.refusals())));
                }
                Verdict::Pending(check) => match check.ask(token) {
                    Some(future) => *asking = Some((check.id(), future)),
                    None => known.0.push((check.id(), Err(panicked()))),
                },
            }
        }
    }
}

impl fmt::Debug for Checking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checking").finish_non_exhaustive()
    }
}
