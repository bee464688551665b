//! [`GitHub`]: a provider with OAuth 2.0 and an API, but without OpenID Connect.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::exchange::{self, Authentication, Registration};
use super::provider::Identity;
use super::refusal::Refusal;
use crate::error::Error;
use crate::times::now;
use crate::typed::Email;

/// The permission to read the email addresses, and nothing else.
const SCOPE: &str = "user:email";
const API_VERSION: (&str, &str) = ("x-github-api-version", "2022-11-28");

/// GitHub, or a GitHub Enterprise Server.
pub(super) struct GitHub {
    site: String,
    authorize: Url,
    token: Url,
    user: Url,
    emails: Url,
    registration: Registration,
    client: reqwest::Client,
}

#[derive(Deserialize)]
struct User {
    /// The id never changes, but names may change hands.
    id: u64,
}

#[derive(Deserialize)]
struct Address {
    email: String,
    primary: bool,
    verified: bool,
}

// === impl GitHub ===

impl GitHub {
    /// Sets up GitHub. `site` is `https://github.com`, or the address of a GitHub Enterprise Server, whose
    /// API is below it.
    pub(super) fn new(
        site: &str,
        registration: Registration,
        client: &reqwest::Client,
    ) -> Result<Self, Error> {
        let site = site.trim_end_matches('/');
        let api = match site {
            "https://github.com" => "https://api.github.com".to_owned(),
            site => format!("{site}/api/v3"),
        };
        Ok(Self {
            authorize: Url::parse(&format!("{site}/login/oauth/authorize"))?,
            token: Url::parse(&format!("{site}/login/oauth/access_token"))?,
            user: Url::parse(&format!("{api}/user"))?,
            emails: Url::parse(&format!("{api}/user/emails?per_page=100"))?,
            site: site.to_owned(),
            registration,
            client: client.clone(),
        })
    }

    /// Returns the URL to send a browser to.
    pub(super) fn authorization(&self, state: &str, challenge: &str, fresh: bool) -> Url {
        let mut url = self.authorize.clone();
        url.query_pairs_mut()
            .append_pair("client_id", &self.registration.client_id)
            .append_pair("redirect_uri", &self.registration.redirect_uri)
            .append_pair("scope", SCOPE)
            .append_pair("state", state)
            .append_pair("code_challenge", challenge)
            .append_pair("code_challenge_method", "S256");
        if fresh {
            // GitHub has no way to ask for the password again.
            url.query_pairs_mut()
                .append_pair("prompt", "select_account");
        }
        url
    }

    /// Refuses a response that names another issuer.
    pub(super) fn check_issuer(&self, named: Option<&str>) -> Result<(), Refusal> {
        let rest = named.map(|named| named.strip_prefix(&self.site));
        let good =
            rest.is_none_or(|rest| rest.is_some_and(|it| it.is_empty() || it.starts_with('/')));
        good.then_some(()).ok_or(Refusal::MixedUp)
    }

    /// Returns the user that a code belongs to.
    pub(super) async fn identify(&self, code: &str, verifier: &str) -> Result<Identity, Refusal> {
        let (registration, how) = (&self.registration, Authentication::Post);
        let tokens = exchange::redeem(&self.client, &self.token, registration, how, code, verifier);
        let token = tokens.await?.access_token;
        let token =
            token.ok_or_else(|| exchange::unavailable(&self.token, "its response has no token"))?;
        let user: User = self.get(&self.user, &token).await?;
        let emails: Vec<Address> = self.get(&self.emails, &token).await?;
        Ok(Identity {
            issuer: self.site.clone(),
            subject: user.id.to_string(),
            email: primary(&emails),
            auth_time: now(),
        })
    }

    async fn get<T: DeserializeOwned>(&self, url: &Url, token: &str) -> Result<T, Refusal> {
        let (name, version) = API_VERSION;
        let request = self.client.get(url.clone()).bearer_auth(token);
        exchange::fetch(request.header(name, version), url).await
    }
}

/// Returns the primary address if it is verified.
fn primary(addresses: &[Address]) -> Option<Email> {
    let primary = addresses.iter().find(|address| address.primary);
    Email::parse(&primary.filter(|address| address.verified)?.email)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_verified_primary_address_counts() {
        let address = |primary, verified| Address {
            email: "ada@example.com".to_owned(),
            primary,
            verified,
        };
        assert!(primary(&[address(false, true), address(true, true)]).is_some());
        assert_eq!(primary(&[address(true, false), address(false, true)]), None);
        assert_eq!(primary(&[address(false, true)]), None);
        assert_eq!(primary(&[]), None);
    }
}
