//! The command `grant-admin`.

use super::store::ADMIN_SCOPE;
use crate::accounts::Users;
use crate::config::Settings;
use crate::database::Database;
use crate::error::Error;
use crate::typed::Email;

/// Gives a registered user the scope `admin`, and returns the lines to print.
///
/// # Errors
///
/// Fails if `email` is not an email address, if no user has it, if `DATABASE_URL` is invalid, or if the database is
/// unavailable or cannot be migrated.
pub async fn grant_admin(email: &str) -> Result<Vec<String>, Error> {
    let email =
        Email::parse(email).ok_or("this is not an email address: use the form name@example.com")?;
    let database = Database::open(&Settings::database_url_from_env()?).await?;
    let users = Users::new(database.clone());
    let granted = users.grant(&email, ADMIN_SCOPE).await?;
    let user = users.by_email(&email).await?;
    database.close().await;
    let Some(user) = user.filter(|_| granted) else {
        let why = "no user has this email address: register it first, and open the link in the email to \
                   confirm it";
        return Err(why.into());
    };
    let mut told = vec!["granted: the user has the scope from the next login on".to_owned()];
    if !user.email_verified {
        let why = "the address is not confirmed yet: confirming it makes a new account, without the scope";
        told.push(why.to_owned());
    }
    Ok(told)
}
