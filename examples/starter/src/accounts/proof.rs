//! The rule that an email address belongs to whoever proves it.

use std::fmt;

use sqlx::Result as SqlResult;
use tower_jwt_auth::password::PasswordHash;
use tower_jwt_auth::sessions::SessionError;

use super::one_time_tokens;
use super::users::{NO_PASSWORD, User};
use super::users::{enrolment_of, second_factor_of}; // chapter: second-factor
use super::users::{new_id, select_user};
use super::{Accounts, email_change};
use crate::database::on_pool;
use crate::finish::finish;
use crate::limits::FORGET;
use crate::operations::digest;
use crate::passkeys::passkeys_of; // chapter: passkeys
use crate::problem::Problem;
use crate::times::now;
use crate::typed::Email;

/// How often a proof is tried again if somebody registers the address at the same moment.
const MAX_ROUNDS: u32 = 8;

/// Who has proved an address.
#[derive(Debug, Clone)]
pub enum Claimant {
    /// Somebody who gets a new account with this password.
    WithPassword(PasswordHash),
    /// Somebody who gets a new account without a password, and logs in elsewhere, such as at an OpenID
    /// Connect provider.
    WithoutPassword,
    /// The user with this id. The address is theirs from now on.
    User(String),
}

/// What must still be valid at the moment when an address is proved.
#[derive(Debug, Clone)]
enum Condition {
    None,
    /// The registration with this id is open.
    Registration(String),
    /// The change of an address with this id, which both sides have confirmed, is open.
    EmailChange(String),
}

/// The outcome of a proof.
#[allow(missing_debug_implementations)] // because of the hash in the user
pub enum Proved {
    /// The address was not proved before. It belongs to this account from now on.
    First(User),
    /// The address was proved before, and belongs to this account. Nothing has changed.
    Already(User),
    /// The account is disabled, or the link is no longer valid. Nothing has changed.
    Refused,
}

/// Why the outcome of a proof is unknown. The proof can be repeated.
#[derive(Debug)]
pub enum ProofError {
    /// The database is unavailable.
    Database(sqlx::Error),
    /// The sessions of the earlier account cannot be ended.
    Sessions(SessionError),
}

// === impl Accounts ===

impl Accounts {
    /// Gives an address to whoever has just proved it: by a link, by a login at a provider that has
    /// verified the address, or by a change of the address. Call this function for every proof, and never
    /// set the column yourself.
    ///
    /// The first proof ends everything that anybody has set up with the address before: the password,
    /// sessions with their access tokens, second factors, recovery codes, the avatar, scopes, open
    /// registrations with their links, and the places that logins came from. The new account has a new id,
    /// so that nothing stored under the old id comes back.
    ///
    /// If several proofs come at once, one of them is the first. The work goes on if the caller is dropped.
    ///
    /// # Errors
    ///
    /// Fails if the database or the session store is unavailable. Then either nothing has changed or
    /// everything has.
    pub async fn prove(&self, email: &Email, claimant: Claimant) -> Result<Proved, ProofError> {
        self.prove_by(None, email, claimant).await
    }

    /// Works like [`prove`](Self::prove), for a link. It must belong to an open registration.
    pub(crate) async fn prove_by(
        &self,
        registration: Option<&str>,
        email: &Email,
        claimant: Claimant,
    ) -> Result<Proved, ProofError> {
        let condition = match registration {
            Some(id) => Condition::Registration(id.to_owned()),
            None => Condition::None,
        };
        self.prove_if(condition, email, claimant).await
    }

    /// Works like [`prove`](Self::prove), for a change of an address. Both sides must have confirmed it.
    pub(super) async fn prove_change(
        &self,
        change: &str,
        email: &Email,
        claimant: Claimant,
    ) -> Result<Proved, ProofError> {
        let condition = Condition::EmailChange(change.to_owned());
        self.prove_if(condition, email, claimant).await
    }

    async fn prove_if(
        &self,
        condition: Condition,
        email: &Email,
        claimant: Claimant,
    ) -> Result<Proved, ProofError> {
        let (accounts, email) = (self.clone(), email.clone());
        finish(async move {
            // Comes first, so that the link stays valid if the sessions cannot be ended.
            let there = accounts.users.by_email(&email).await?;
            if let Some(user) = there.filter(|user| !user.email_verified && !user.disabled) {
                accounts.sessions.end_all(&user.id).await?;
            }
            let (proved, removed) = accounts.decide(&condition, &email, &claimant).await?;
            for user in &removed {
                tracing::info!(event = "unproved_account_removed", user = digest(user));
                accounts.clear(user).await;
            }
            if let Proved::First(user) = &proved {
                tracing::info!(event = "email_confirmed", user = digest(&user.id));
            }
            Ok(proved)
        })
        .await
    }

    /// Decides in one transaction, and returns the ids of the accounts that it has removed. The caller must
    /// run it to its end: see `on_pool`.
    async fn decide(
        &self,
        condition: &Condition,
        email: &Email,
        claimant: &Claimant,
    ) -> SqlResult<(Proved, Vec<String>)> {
        let begin = self.database.begin_to_write();
        let (id, hash) = match claimant {
            Claimant::WithPassword(hash) => (new_id()?, Some(hash.as_str())),
            Claimant::WithoutPassword => (new_id()?, Some(NO_PASSWORD)),
            Claimant::User(id) => (id.clone(), None),
        };
        let email = email.as_str();
        let (registration, change) = match condition {
            Condition::None => (None, None),
            Condition::Registration(id) => (Some(id), None),
            Condition::EmailChange(id) => (None, Some(id)),
        };
        on_pool!(&self.database, pool => {
            let mut transaction = pool.begin_with(begin).await?;
            if let Some(change) = change {
                let query = sqlx::query(email_change::CLAIM).bind(&id).bind(change).bind(now());
                if query.execute(&mut *transaction).await?.rows_affected() != 1 {
                    transaction.rollback().await?;
                    return Ok((Proved::Refused, Vec::new()));
                }
                let query = sqlx::query_scalar("SELECT email FROM users WHERE id = $1").bind(&id);
                let old: String = query.fetch_one(&mut *transaction).await?;
                for (query, bound) in [
                    (email_change::FINISH, change),
                    (FORGET, &one_time_tokens::digest(&old)),
                ] {
                    sqlx::query(query).bind(bound).execute(&mut *transaction).await?;
                }
            }
            let mut removed: Vec<String> = Vec::new();
            let mut rounds = 0;
            loop {
                let query = "DELETE FROM users WHERE email = $1 AND id <> $2 \
                             AND NOT email_verified AND NOT disabled RETURNING id";
                let query = sqlx::query_scalar(query).bind(email).bind(&id);
                removed.extend(query.fetch_all(&mut *transaction).await?);
                let query = match hash {
                    Some(_) => "INSERT INTO users (email, id, password_hash, email_verified) \
                                VALUES ($1, $2, $3, TRUE) ON CONFLICT (email) DO NOTHING",
                    None => "UPDATE users SET email = $1, email_verified = TRUE \
                             WHERE id = $2 AND $3 IS NULL AND NOT disabled AND email <> $1 \
                             AND NOT EXISTS (SELECT 1 FROM users WHERE email = $1)",
                };
                let query = sqlx::query(query).bind(email).bind(&id).bind(hash);
                if query.execute(&mut *transaction).await?.rows_affected() == 1 {
                    break;
                }
                let query = sqlx::query_as(select_user!("email = $1")).bind(email);
                let there: Option<User> = query.fetch_optional(&mut *transaction).await?;
                rounds += 1;
                match there {
                    // It was registered, or abandoned, at this moment.
                    Some(user) if !user.email_verified && !user.disabled && user.id != id
                        && rounds < MAX_ROUNDS => {}
                    None if hash.is_some() && rounds < MAX_ROUNDS => {}
                    there => {
                        transaction.rollback().await?;
                        let there = there.filter(|user| user.email_verified && !user.disabled);
                        return Ok((there.map_or(Proved::Refused, Proved::Already), Vec::new()));
                    }
                }
            }
            if let Some(registration) = registration {
                let query = "UPDATE registrations SET user_id = $2, password_hash = NULL \
                             WHERE id = $1 AND user_id IS NULL AND expires_at > $3";
                let query = sqlx::query(query).bind(registration).bind(&id).bind(now());
                if query.execute(&mut *transaction).await?.rows_affected() != 1 {
                    transaction.rollback().await?;
                    return Ok((Proved::Refused, Vec::new()));
                }
            }
            let query = "DELETE FROM registrations WHERE email = $1 AND id <> $2";
            let query = sqlx::query(query).bind(email).bind(registration.map_or("", String::as_str));
            query.execute(&mut *transaction).await?;
            let query = sqlx::query(FORGET).bind(one_time_tokens::digest(email));
            query.execute(&mut *transaction).await?;
            for user in &removed {
                let query = sqlx::query(FORGET).bind(one_time_tokens::digest(&passkeys_of(user))); // chapter: passkeys
                query.execute(&mut *transaction).await?; // chapter: passkeys
                // chapter: second-factor {
                for counted in [second_factor_of(user), enrolment_of(user)] {
                    let query = sqlx::query(FORGET).bind(one_time_tokens::digest(&counted));
                    query.execute(&mut *transaction).await?;
                }
                // chapter: second-factor }
                let query = "INSERT INTO removed_users (id, removed_at) VALUES ($1, $2) \
                             ON CONFLICT (id) DO NOTHING";
                let query = sqlx::query(query).bind(user).bind(now());
                query.execute(&mut *transaction).await?;
            }
            let query = sqlx::query_as(select_user!("id = $1")).bind(&id);
            let user: User = query.fetch_one(&mut *transaction).await?;
            transaction.commit().await?;
            Ok((Proved::First(user), removed))
        })
    }
}

// === impl ProofError ===

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(_) => f.write_str("the database is unavailable"),
            Self::Sessions(_) => f.write_str("the sessions of the account cannot be ended"),
        }
    }
}

impl std::error::Error for ProofError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Database(error) => Some(error),
            Self::Sessions(error) => Some(error),
        }
    }
}

impl From<sqlx::Error> for ProofError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<SessionError> for ProofError {
    fn from(error: SessionError) -> Self {
        Self::Sessions(error)
    }
}

impl From<ProofError> for Problem {
    fn from(error: ProofError) -> Self {
        match error {
            ProofError::Database(error) => error.into(),
            ProofError::Sessions(error) => error.into(),
        }
    }
}
