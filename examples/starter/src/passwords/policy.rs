//! The policy for new passwords (NIST SP 800-63B-4 section 3.1.1.2, OWASP ASVS 5.0 V6.2).
//!
//! There are no composition rules: what counts is how many attempts it would take to guess the password.
//! Passwords are not trimmed, case-folded or truncated. The same characters count as the same, however
//! Unicode encodes them.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tower_jwt_auth::password::MAX_PASSWORD_BYTES;
use zxcvbn::{Score, zxcvbn};

use super::Passwords;
use super::breached;
use super::breached::Breached;
use crate::SERVICE;
use crate::accounts::User;
use crate::config::variable;
use crate::error::Error;
use crate::error::with_causes;
use crate::problem::Problem;
use crate::second_factor::Factors; // chapter: second-factor
use crate::typed::normalized;

/// The minimum length of a password that is the only factor, in characters.
pub const MIN_PASSWORD_CHARS: usize = 15;
/// The minimum length of a password with a second factor, in characters.
pub const MIN_PASSWORD_CHARS_WITH_FACTOR: usize = 8;
/// The minimum strength: 10^8 attempts.
const MIN_SCORE: Score = Score::Three;
/// The minimum strength with a second factor: 10^6 attempts. Eight characters never reach more than 10^8.
const MIN_SCORE_WITH_FACTOR: Score = Score::Two;

/// How many characters the strength meter looks at. Its work grows faster than the length of the password, and
/// further characters do not make a strong password weaker.
const MAX_METERED_CHARS: usize = 64;
/// How many passwords are measured at once, and how long another one waits for its turn.
const METERED_AT_ONCE: usize = 2;
const PATIENCE: Duration = Duration::from_secs(2);

/// How many characters must be left without the words that belong to the context.
const MIN_CHARS_LEFT: usize = 8;

/// The settings of the password policy.
#[derive(Debug, Clone, Default)]
pub struct PasswordSettings {
    /// Words that an attacker would try first: the names of the service and of the company.
    pub context_words: Vec<String>,
    /// The list of passwords from breaches, such as `https://api.pwnedpasswords.com`.
    pub breached_url: Option<String>,
}

/// The policy, ready to use.
#[derive(Clone)]
pub(crate) struct PasswordPolicy {
    passwords: Passwords,
    factors: Factors, // chapter: second-factor
    context_words: Vec<String>,
    breached: Option<Arc<dyn Breached>>,
    metering: Arc<Semaphore>,
}

/// The user who is going to have the password.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner<'a> {
    email: &'a str,
    /// Whether a login asks for a second factor as well.
    second_factor: bool,
}

// === impl Owner ===

impl<'a> Owner<'a> {
    /// Describes the owner of this address, who has no second factor.
    pub(crate) fn new(email: &'a str) -> Self {
        Self {
            email,
            second_factor: false,
        }
    }

    // chapter: second-factor {
    fn with_second_factor(self, second_factor: bool) -> Self {
        Self {
            second_factor,
            ..self
        }
    }
    // chapter: second-factor }
}

// === impl PasswordSettings ===

impl PasswordSettings {
    pub(crate) fn from_env() -> Result<Self, Error> {
        let words = variable("CONTEXT_WORDS")?;
        let words = words.as_deref().unwrap_or(SERVICE);
        Ok(Self {
            context_words: words.split_whitespace().map(str::to_owned).collect(),
            breached_url: variable("BREACHED_PASSWORDS_URL")?,
        })
    }
}

// === impl PasswordPolicy ===

impl PasswordPolicy {
    pub(crate) fn new(
        settings: &PasswordSettings,
        passwords: &Passwords,
        factors: &Factors, // chapter: second-factor
    ) -> Result<Self, Error> {
        Ok(Self {
            passwords: passwords.clone(),
            factors: factors.clone(), // chapter: second-factor
            context_words: settings.context_words.clone(),
            breached: breached::choose(settings.breached_url.as_deref())?,
            metering: Arc::new(Semaphore::new(METERED_AT_ONCE)),
        })
    }

    /// Refuses a password that can be guessed, and says why. All rules apply to the form that is hashed
    /// (NIST SP 800-63B-4 section 3.1.1.2).
    pub(crate) async fn check(&self, password: &str, owner: Owner<'_>) -> Result<(), Problem> {
        let min = match owner.second_factor {
            true => MIN_PASSWORD_CHARS_WITH_FACTOR,
            false => MIN_PASSWORD_CHARS,
        };
        if self.passwords.char_count(password) < min {
            let detail = format!(
                "The password is too short. Use at least {min} characters: several words work well, \
                 and spaces are fine."
            );
            return Err(refused("too_short", detail));
        }
        let password = &*normalized(password);
        if password.len() > MAX_PASSWORD_BYTES {
            let detail =
                format!("The password is too long. Use at most {MAX_PASSWORD_BYTES} bytes.");
            return Err(refused("too_long", detail));
        }
        if self.is_guessable(password, owner).await? {
            let detail = "The password is easy to guess: it is common, repeats itself, or consists \
                          of your address or the name of the service. Use a few unrelated words.";
            return Err(refused("too_common", detail.to_owned()));
        }
        if self.is_breached(password).await {
            let detail = "The password is known from a breach of another service. Choose one that \
                          you use nowhere else.";
            return Err(refused("breached", detail.to_owned()));
        }
        Ok(())
    }

    /// Checks the new password of an existing user.
    pub(crate) async fn check_for(&self, user: &User, password: &str) -> Result<(), Problem> {
        let owner = Owner::new(&user.email);
        // chapter: second-factor {
        let methods = self.factors.methods(&user.id).await?;
        let owner = owner.with_second_factor(!methods.is_empty());
        // chapter: second-factor }
        self.check(password, owner).await
    }

    /// Measures a password outside the request threads, and few at once: a long password takes some
    /// milliseconds.
    async fn is_guessable(&self, password: &str, owner: Owner<'_>) -> Result<bool, Problem> {
        let mut words = self.context_words.clone();
        let (local, domain) = owner.email.split_once('@').unwrap_or((owner.email, ""));
        // The domain as people write it. It is stored in ASCII.
        let (domain, _) = idna::domain_to_unicode(domain);
        for part in [local, &domain] {
            let parts = part.split(|c: char| !c.is_alphanumeric());
            words.extend(parts.filter(|part| part.len() > 2).map(str::to_owned));
        }
        if left_without(&words, password) < MIN_CHARS_LEFT {
            return Ok(true);
        }
        let password: String = password.chars().take(MAX_METERED_CHARS).collect();
        let enough = match owner.second_factor {
            true => MIN_SCORE_WITH_FACTOR,
            false => MIN_SCORE,
        };
        let permit = timeout(PATIENCE, Arc::clone(&self.metering).acquire_owned()).await;
        let permit = permit.ok().and_then(Result::ok).ok_or_else(Problem::busy)?;
        let score = tokio::task::spawn_blocking(move || {
            let _permit = permit; // held to the end, even if the request is dropped
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            zxcvbn(&password, &words).score()
        });
        // If the meter fails, the password counts as guessable.
        Ok(score.await.map_or(true, |score| score < enough))
    }

    /// Asks the list of breaches. Its outage must not turn anybody away.
    async fn is_breached(&self, password: &str) -> bool {
        let Some(breached) = &self.breached else {
            return false;
        };
        breached.contains(password).await.unwrap_or_else(|error| {
            let error = with_causes(&*error);
            tracing::warn!(
                error,
                "breached passwords are unavailable; accepted one without the check"
            );
            false
        })
    }
}

impl std::fmt::Debug for PasswordPolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PasswordPolicy").finish_non_exhaustive()
    }
}

/// Returns how many characters are left without these words.
fn left_without(words: &[String], password: &str) -> usize {
    let mut words: Vec<_> = words
        .iter()
        .map(|word| normalized(word).to_lowercase())
        .collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    let mut left = password.to_lowercase();
    for word in words.iter().filter(|word| !word.is_empty()) {
        left = left.replace(word, "");
    }
    left.chars().count()
}

fn refused(reason: &'static str, detail: String) -> Problem {
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    Problem::new(status, "invalid_password", detail).reason(reason)
}
