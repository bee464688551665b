//! Decides which account a login at a provider opens, and links the two.

use super::SocialLogin;
use super::links::{Added, By, Holder};
use super::provider::{Identity, Provider};
use super::refusal::Refusal;
use crate::accounts::{Claimant, Proved, User};
use crate::finish::finish;
use crate::operations::digest;
use crate::outbox::Notification;

// === impl SocialLogin ===

impl SocialLogin {
    /// Returns the account of a user who has logged in at a provider.
    ///
    /// A login that is not linked yet is linked by its address: to the account that has proved the address,
    /// or to a new one, as [`prove`](crate::accounts::Accounts::prove) decides. An address that the
    /// provider has not verified proves nothing.
    ///
    /// The work goes on if the request is dropped.
    pub(super) async fn account(
        &self,
        provider: &Provider,
        who: Identity,
    ) -> Result<User, Refusal> {
        let (social, provider) = (self.clone(), provider.clone());
        finish(async move {
            let id = match social.links.holder(&who.issuer, &who.subject).await? {
                Holder::User(id) => id,
                Holder::Unlinked => return Err(Refusal::Unlinked),
                Holder::Nobody => social.first_time(&provider, who).await?,
            };
            let user = social.logins.users.active(&id).await?;
            let user = user.ok_or(Refusal::NoAccount("disabled"))?;
            match social.logins.barred(&user) {
                None => Ok(user),
                Some("not_confirmed") => Err(Refusal::AddressNotConfirmed),
                Some(reason) => Err(Refusal::NoAccount(reason)),
            }
        })
        .await
    }

    async fn first_time(&self, provider: &Provider, who: Identity) -> Result<String, Refusal> {
        let email = who.email.as_ref().ok_or(Refusal::AddressNotVerified)?;
        let proved = self.accounts.prove(email, Claimant::WithoutPassword);
        let (Proved::First(user) | Proved::Already(user)) = proved.await? else {
            return Err(Refusal::NoAccount("disabled"));
        };
        self.add(provider, &user, &who, By::Address).await?;
        Ok(user.id)
    }

    /// Links a login to the user who began that while logged in. The work goes on if the request is
    /// dropped.
    pub(super) async fn link(
        &self,
        provider: &Provider,
        who: Identity,
        user: &str,
        version: i64,
    ) -> Result<(), Refusal> {
        let (social, provider, user) = (self.clone(), provider.clone(), user.to_owned());
        finish(async move {
            let user = social.logins.users.active(&user).await?;
            // After a change such as a new password, the user has to prove again who they are.
            let user = user.filter(|user| user.version == version);
            let user = user.ok_or(Refusal::NoAccount("changed"))?;
            social.add(&provider, &user, &who, By::User).await
        })
        .await
    }

    async fn add(
        &self,
        provider: &Provider,
        user: &User,
        who: &Identity,
        by: By,
    ) -> Result<(), Refusal> {
        let added = self.links.add(&user.id, &who.issuer, &who.subject, by);
        match added.await? {
            Added::New => {}
            Added::Before => return Ok(()),
            Added::Taken => return Err(Refusal::Taken),
            Added::OtherLogin => return Err(Refusal::OtherLogin),
            Added::Unlinked => return Err(Refusal::Unlinked),
        }
        tracing::info!(
            event = "login_linked",
            user = digest(&user.id),
            provider = provider.id
        );
        self.outbox.post(Notification::LoginLinked {
            email: user.address(),
            provider: provider.name.clone(),
        });
        Ok(())
    }
}
