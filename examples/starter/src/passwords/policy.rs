//! Which passwords are good enough (NIST SP 800-63B-4 section 3.1.1.2, ASVS 5.0 V6.2).
//!
//! There are no rules of composition: what counts is how many tries it would take to guess the
//! password. Nothing is trimmed, folded or cut off; the same characters count as the same, whichever
//! way Unicode writes them.

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

/// The fewest characters of a password that is the only factor.
pub const MIN_PASSWORD_CHARS: usize = 15;
/// The fewest where a second factor is asked for as well.
pub const MIN_PASSWORD_CHARS_WITH_FACTOR: usize = 8;
/// What a guesser needs at least: 10^8 tries.
const MIN_SCORE: Score = Score::Three;
/// The same beside a second factor, 10^6: eight characters are never worth more than 10^8.
const MIN_SCORE_WITH_FACTOR: Score = Score::Two;

/// How much of a password the strength meter looks at: its work grows faster than the length, and
/// what is strong so far is no weaker with more behind it.
const MAX_METERED_CHARS: usize = 64;
/// How many passwords are metered at once, and how long another one waits for its turn.
const METERED_AT_ONCE: usize = 2;
const PATIENCE: Duration = Duration::from_secs(2);

/// The fewest characters that are to be left without the words that belong to the context.
const MIN_CHARS_LEFT: usize = 8;

/// What a team decides about passwords.
#[derive(Debug, Clone, Default)]
pub struct PasswordSettings {
    /// Words that a guesser tries first here: the names of the service and of the company.
    pub context_words: Vec<String>,
    /// Where passwords from breaches are known, such as `https://api.pwnedpasswords.com`.
    pub breached_url: Option<String>,
}

/// The rules, put together once.
#[derive(Clone)]
pub(crate) struct PasswordPolicy {
    passwords: Passwords,
    factors: Factors, // chapter: second-factor
    context_words: Vec<String>,
    breached: Option<Arc<dyn Breached>>,
    metering: Arc<Semaphore>,
}

/// Whose password it is to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner<'a> {
    email: &'a str,
    /// Whether a login asks for a second factor as well.
    second_factor: bool,
}

// === impl Owner ===

impl<'a> Owner<'a> {
    /// The owner of this address, who has no second factor.
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

    /// Refuses a password that can be guessed, and says why. All rules are for the form that is
    /// hashed (NIST SP 800-63B-4 section 3.1.1.2).
    pub(crate) async fn check(&self, password: &str, owner: Owner<'_>) -> Result<(), Problem> {
        let min = match owner.second_factor {
            true => MIN_PASSWORD_CHARS_WITH_FACTOR,
            false => MIN_PASSWORD_CHARS,
        };
        if self.passwords.char_count(password) < min {
            let detail = format!(
                "Choose a password with at least {min} characters. Several words are good; any \
                 characters will do, spaces too."
            );
            return Err(refused("too_short", detail));
        }
        let password = &*normalized(password);
        if password.len() > MAX_PASSWORD_BYTES {
            let detail = format!("A password has at most {MAX_PASSWORD_BYTES} bytes.");
            return Err(refused("too_long", detail));
        }
        if self.is_guessable(password, owner).await? {
            let detail = "This password is among the first that somebody would try: it is common, \
                          repeats itself, or is made of your address or the name of the service. \
                          Choose some words that have nothing to do with each other.";
            return Err(refused("too_common", detail.to_owned()));
        }
        if self.is_breached(password).await {
            let detail = "This password is known from a breach of another service. Choose one that \
                          you use nowhere else.";
            return Err(refused("breached", detail.to_owned()));
        }
        Ok(())
    }

    /// Does the same for a user who is there already.
    pub(crate) async fn check_for(&self, user: &User, password: &str) -> Result<(), Problem> {
        let owner = Owner::new(&user.email);
        // chapter: second-factor {
        let methods = self.factors.methods(&user.id).await?;
        let owner = owner.with_second_factor(!methods.is_empty());
        // chapter: second-factor }
        self.check(password, owner).await
    }

    /// Beside the other requests, and few at once: a long password takes some milliseconds.
    async fn is_guessable(&self, password: &str, owner: Owner<'_>) -> Result<bool, Problem> {
        let mut words = self.context_words.clone();
        let (local, domain) = owner.email.split_once('@').unwrap_or((owner.email, ""));
        // As people write it: it is stored in ASCII.
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
            let _permit = permit; // held to the end, also if nobody waits for it any more
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            zxcvbn(&password, &words).score()
        });
        // A meter that fails has not found the password good.
        Ok(score.await.map_or(true, |score| score < enough))
    }

    /// An outage over there is no reason to turn anybody away here.
    async fn is_breached(&self, password: &str) -> bool {
        let Some(breached) = &self.breached else {
            return false;
        };
        breached.contains(password).await.unwrap_or_else(|error| {
            let error = with_causes(&*error);
            tracing::warn!(error, "not known whether a password was breached");
            false
        })
    }
}

impl std::fmt::Debug for PasswordPolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PasswordPolicy").finish_non_exhaustive()
    }
}

/// How many characters are left when these words are taken out.
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
