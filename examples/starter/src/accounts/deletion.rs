//! `POST /auth/account/delete`: the owner deletes an account.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use sqlx::Result as SqlResult;
use utoipa::ToSchema;

use super::users::User;
use super::users::{enrolment_of, second_factor_of}; // chapter: second-factor
use super::{Accounts, ProofError};
use crate::admin::but_last_admin; // chapter: admin
use crate::database::on_pool;
use crate::finish::finish;
use crate::limits::FORGET;
use crate::operations;
use crate::outbox::{Notice, Outbox};
use crate::passkeys::passkeys_of; // chapter: passkeys
use crate::problem::Problem;
use crate::sessions::{Caller, Reauthentication};
use crate::times::now;
use crate::typed::Email;

const DELETED: Notice = Notice {
    kind: "account_deleted",
    subject: "Your account was deleted",
    text: "Your account and everything that belongs to it have just been deleted. This is\n\
           the last email about it. You can register again at any time:",
};

/// The outcome of a deletion.
enum Deleted {
    Yes,
    LastAdmin, // chapter: admin
    /// Nothing was deleted, because the account has changed since it was read.
    SomebodyElse,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = AccountDeletion)]
pub(super) struct Request {
    current_password: String,
    /// The email address of the account, typed once more so that nobody deletes it by mistake.
    email: String,
}

/// Deletes the account of the user and everything that belongs to it. This cannot be undone.
#[utoipa::path(
    post,
    operation_id = "delete_account",
    path = "/auth/account/delete",
    tag = "accounts",
    request_body = Request,
    responses((status = 204, description = "Deleted")),
    security(("bearer" = []))
)]
pub(super) async fn delete(
    State(accounts): State<Accounts>,
    State(outbox): State<Outbox>,
    State(reauthentication): State<Reauthentication>,
    caller: Caller,
    Json(request): Json<Request>,
) -> Result<StatusCode, Problem> {
    let typed = Email::parse(&request.email);
    if typed.is_none_or(|typed| typed.as_str() != caller.user.email) {
        let detail = "Type the email address of the account to confirm the deletion.";
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return Err(Problem::new(status, "not_confirmed", detail));
    }
    let current = &request.current_password;
    reauthentication.check(&caller, current).await?;
    finish(async move {
        match accounts.delete(&caller.user).await? {
            Deleted::Yes => {
                outbox.tell(&caller.user, DELETED);
                Ok(StatusCode::NO_CONTENT)
            }
            // chapter: admin {
            Deleted::LastAdmin => {
                let detail = "You are the last admin. Make another user an admin first.";
                Err(Problem::new(StatusCode::CONFLICT, "last_admin", detail))
            }
            // chapter: admin }
            Deleted::SomebodyElse => {
                let detail = "The account was changed elsewhere at the same time. Try again.";
                Err(Problem::new(StatusCode::CONFLICT, "conflict", detail))
            }
        }
    })
    .await
}

// === impl Accounts ===

impl Accounts {
    /// Deletes an account and everything that belongs to it, unless it has changed since it was read. The
    /// caller must run it to its end.
    async fn delete(&self, user: &User) -> Result<Deleted, ProofError> {
        // chapter: admin {
        if self.users.is_last_admin(&user.id).await? {
            return Ok(Deleted::LastAdmin);
        }
        // chapter: admin }
        // Comes first, so that the account is still there if its sessions cannot be ended.
        self.sessions.end_all(&user.id).await?;
        if !self.delete_rows(user).await? {
            // chapter: admin {
            if self.users.is_last_admin(&user.id).await? {
                return Ok(Deleted::LastAdmin);
            }
            // chapter: admin }
            return Ok(Deleted::SomebodyElse);
        }
        tracing::info!(
            event = "account_deleted",
            user = operations::digest(&user.id)
        );
        self.clear(&user.id).await;
        Ok(Deleted::Yes)
    }

    /// Deletes the rows of a user in one transaction. Returns whether the user was deleted.
    async fn delete_rows(&self, user: &User) -> SqlResult<bool> {
        let begin = self.database.begin_to_write();
        let delete = "DELETE FROM users WHERE id = $1 AND version = $2";
        let delete = but_last_admin(&self.database, delete); // chapter: admin
        on_pool!(&self.database, pool => {
            let mut transaction = pool.begin_with(begin).await?;
            let query = sqlx::query(delete).bind(&user.id).bind(user.version);
            if query.execute(&mut *transaction).await?.rows_affected() != 1 {
                transaction.rollback().await?;
                return Ok(false);
            }
            // Registrations of an unproved address stay, because its owner may have made one of them.
            if user.email_verified {
                let query = "DELETE FROM registrations WHERE email = $1";
                sqlx::query(query).bind(&user.email).execute(&mut *transaction).await?;
            }
            let counted = [
                user.email.clone(),
                second_factor_of(&user.id), // chapter: second-factor
                enrolment_of(&user.id),     // chapter: second-factor
                passkeys_of(&user.id),      // chapter: passkeys
            ];
            for counted in counted {
                let query = sqlx::query(FORGET).bind(super::digest(&counted));
                query.execute(&mut *transaction).await?;
            }
            // Keeps the id for a while, so that requests under way leave nothing behind: see
            // `clear_removed`.
            let query = "INSERT INTO removed_users (id, removed_at) VALUES ($1, $2) \
                         ON CONFLICT (id) DO NOTHING";
            sqlx::query(query).bind(&user.id).bind(now()).execute(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(true)
        })
    }
}
