//! Passkeys (WebAuthn): login without a password, and passkeys as a second factor.
//!
//! Needs `PUBLIC_URL`, because passkeys belong to its domain. The library is `webauthn-rs`, which is
//! maintained by an organization, was audited, and needs no OpenSSL since 0.6. `webauthn_rp` is smaller,
//! but has a single maintainer. To remove this chapter, see `docs/removing.md`.

mod ceremonies;
mod list;
mod login;
mod notices;
mod proof;
mod proofs; // chapter: second-factor
mod register;
mod relying_party;
mod second_factor; // chapter: second-factor
mod table;

pub(crate) use proofs::Proofs; // chapter: second-factor
pub(crate) use table::Listed;

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use webauthn_rs::prelude::{Passkey, PublicKeyCredential};

use self::ceremonies::{Ceremonies, Ceremony, Holder, LIFETIME, Purpose};
use self::relying_party::{Question, Refusal, RelyingParty, handle_of};
use self::table::{Stored, Table};
use crate::accounts::User;
use crate::app::{App, RequireToken};
use crate::database::Database;
use crate::error::Error;
use crate::finish::finish;
use crate::operations::digest;
use crate::outbox::{Notice, Notification, Outbox};
use crate::problem::Problem;
use crate::sessions::{Logins, Reauthentication};
use crate::typed::LinkSecret;

/// How often an answer is checked again if the same passkey was used elsewhere at the same time.
const MAX_ROUNDS: u32 = 4;

/// The passkeys of all accounts, and what they can be used for.
#[derive(Debug, Clone)]
pub(crate) struct Passkeys {
    /// `None` if `PUBLIC_URL` has no domain.
    relying_party: Option<RelyingParty>,
    ceremonies: Ceremonies,
    table: Table,
    logins: Logins,
    reauthentication: Reauthentication,
    outbox: Outbox,
}

/// A request for the browser.
#[derive(Serialize, ToSchema)]
#[schema(as = PasskeyQuestion)]
pub(crate) struct Asked {
    /// The name of the request, to be sent with the answer. It works once, for one purpose.
    ceremony: String,
    /// The argument of `navigator.credentials`, in the JSON format of WebAuthn Level 3
    /// (`PublicKeyCredential.parseCreationOptionsFromJSON` and `parseRequestOptionsFromJSON`).
    #[schema(value_type = Object)]
    options: Value,
    /// How long the answer may take, in seconds.
    expires_in: i64,
}

/// A passkey that has answered correctly.
struct Proven {
    is_synced: bool,
}

/// Returns the routes of this chapter.
pub(crate) fn routes(token: &RequireToken) -> OpenApiRouter<App> {
    let with_token = OpenApiRouter::new()
        .routes(routes!(register::start))
        .routes(routes!(register::finish))
        .routes(routes!(proof::start))
        .routes(routes!(proof::finish))
        .routes(routes!(list::list))
        .routes(routes!(list::rename))
        .routes(routes!(list::remove))
        .routes(routes!(second_factor::turn_on)) // chapter: second-factor
        .route_layer(token.clone());
    OpenApiRouter::new()
        .routes(routes!(login::start))
        .routes(routes!(login::finish))
        .merge(with_token)
}

// === impl Passkeys ===

impl Passkeys {
    /// Sets up passkeys. `name` is what browsers and authenticators call the service.
    ///
    /// # Errors
    ///
    /// Fails if `public_url` is not a URL.
    pub(crate) fn new(
        name: &str,
        public_url: &str,
        database: &Database,
        logins: &Logins,
        reauthentication: &Reauthentication,
        outbox: &Outbox,
    ) -> Result<Self, Error> {
        Ok(Self {
            relying_party: RelyingParty::new(name, public_url)?,
            ceremonies: Ceremonies::new(database.clone()),
            table: Table::new(database.clone()),
            logins: logins.clone(),
            reauthentication: reauthentication.clone(),
            outbox: outbox.clone(),
        })
    }

    /// Returns the passkeys of a user, the oldest first.
    pub(crate) async fn of(&self, user: &str) -> sqlx::Result<Vec<Listed>> {
        self.table.list(user).await
    }

    /// Removes at most `limit` requests that were not answered in time, and returns how many.
    pub(crate) async fn clean_up(&self, limit: u32) -> sqlx::Result<u64> {
        self.ceremonies.clean_up(limit).await
    }

    fn relying_party(&self) -> Result<&RelyingParty, Problem> {
        self.relying_party.as_ref().ok_or_else(|| {
            let detail =
                "This service does not offer passkeys. They need a `PUBLIC_URL` with a domain.";
            Problem::new(StatusCode::NOT_FOUND, "passkeys_not_offered", detail)
        })
    }

    /// Stores a request, and returns it in the format for the client.
    async fn ask(
        &self,
        purpose: Purpose,
        holder: Holder<'_>,
        bound_to: &str,
        question: Question,
    ) -> Result<Asked, Problem> {
        let Question { options, state } = question;
        let ceremony = self.ceremonies.begin(purpose, holder, bound_to, &state);
        Ok(Asked {
            ceremony: ceremony.await?,
            options,
            expires_in: LIFETIME,
        })
    }

    /// Returns the request that an answer names, and uses it up.
    async fn asked(
        &self,
        purpose: Purpose,
        secret: &str,
        bound_to: &str,
    ) -> Result<Ceremony, Problem> {
        let secret = LinkSecret::parse(secret).ok_or_else(over)?;
        let ceremony = self.ceremonies.take(purpose, secret.as_str(), bound_to);
        ceremony.await?.ok_or_else(over)
    }

    /// Returns the passkeys with which the account can log in.
    async fn usable(&self, user: &User) -> Result<Vec<Passkey>, Problem> {
        parsed(&self.table.usable(&user.id).await?)
    }

    /// Returns the passkey that an answer names, unless the answer names another owner.
    async fn named(
        &self,
        answer: &PublicKeyCredential,
    ) -> Result<Result<Stored, Refusal>, Problem> {
        let credential = URL_SAFE_NO_PAD.encode(answer.get_credential_id());
        let Some(stored) = self.table.by_credential(&credential).await? else {
            return Ok(Err(Refusal::UnknownPasskey));
        };
        let handle = answer.get_user_unique_id();
        let is_owner = handle.is_none_or(|handle| handle == handle_of(&stored.user_id).as_bytes());
        Ok(if is_owner {
            Ok(stored)
        } else {
            Err(Refusal::WrongUser)
        })
    }

    /// Checks an answer against the stored passkey, and stores its new counter.
    async fn check(
        &self,
        ceremony: &Ceremony,
        answer: &PublicKeyCredential,
        mut stored: Stored,
    ) -> Result<Result<Proven, Refusal>, Problem> {
        for _ in 0..MAX_ROUNDS {
            if stored.is_refused {
                return Ok(Err(Refusal::PossibleCopy));
            }
            let internal = |error: serde_json::Error| Problem::internal(&error);
            let mut passkey = stored.passkey().map_err(internal)?;
            let party = self.relying_party()?;
            let proof = match party.proof(&ceremony.state, answer, &passkey)? {
                Ok(proof) => proof,
                Err(refusal) => {
                    if refusal == Refusal::PossibleCopy {
                        self.refuse(&stored).await?;
                    }
                    return Ok(Err(refusal));
                }
            };
            passkey.update_credential(&proof);
            let is_synced = proof.backup_eligible();
            let now_is = serde_json::to_string(&passkey).map_err(internal)?;
            if self.table.used(&stored, &now_is, is_synced).await? {
                return Ok(Ok(Proven { is_synced }));
            }
            // The passkey was used elsewhere or removed meanwhile.
            match self.named(answer).await? {
                Ok(again) => stored = again,
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        Err(Problem::busy())
    }

    /// Tells the owner about a change, in case somebody else made it.
    fn notify(&self, user: &User, notice: Notice) {
        let to = user.address();
        self.outbox.post(Notification::Notice { to, notice });
    }

    /// Refuses a passkey whose counter has gone back, because there may be a copy of the key. From now on
    /// neither is accepted, and the owner is told.
    async fn refuse(&self, stored: &Stored) -> Result<(), Problem> {
        let (passkeys, stored) = (self.clone(), stored.clone());
        finish(async move {
            if !passkeys.table.refuse(&stored).await? {
                return Ok(());
            }
            let user = digest(&stored.user_id);
            let reason = Refusal::PossibleCopy.name();
            tracing::warn!(event = "passkey_refused", user, reason);
            let user = passkeys.logins.users.active(&stored.user_id).await?;
            if let Some(user) = user {
                passkeys.notify(&user, notices::REFUSED);
            }
            Ok(())
        })
        .await
    }
}

// === impl Proven ===

impl Proven {
    /// Returns the value for the `amr` claim (RFC 8176): a key in one device, or in a keychain that several
    /// share.
    fn key(&self) -> &'static str {
        if self.is_synced { "swk" } else { "hwk" }
    }
}

/// Returns the key under which attempts with the passkeys of a user are counted.
pub(crate) fn passkeys_of(user: &str) -> String {
    format!("passkeys of {user}")
}

fn parsed(stored: &[Stored]) -> Result<Vec<Passkey>, Problem> {
    let passkeys = stored.iter().map(Stored::passkey);
    let passkeys = passkeys.collect::<serde_json::Result<_>>();
    passkeys.map_err(|error| Problem::internal(&error))
}

fn over() -> Problem {
    let detail = "This passkey request has expired or was answered already, or the account has changed \
                  meanwhile. Start again.";
    Problem::new(StatusCode::BAD_REQUEST, "invalid_ceremony", detail)
}
