//! [`OpenId`]: a provider with OpenID Connect.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::exchange::{self, Registration, Tokens};
use super::metadata::{Known, Metadata};
use super::provider::Identity;
use super::refusal::Refusal;
use crate::error::with_causes;
use crate::times::now;
use crate::typed::Email;

/// The scopes to ask for: the identity and the email address.
const SCOPE: &str = "openid email";

/// An OpenID Connect issuer.
pub(super) struct OpenId {
    issuer: String,
    registration: Registration,
    metadata: Metadata,
    client: reqwest::Client,
}

/// The claims of an ID token (OpenID Connect Core section 2), after its verification.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    nonce: Option<String>,
    azp: Option<String>,
    auth_time: Option<i64>,
    #[serde(flatten)]
    address: Address,
}

/// The response of the userinfo endpoint (section 5.3.2).
#[derive(Deserialize)]
struct UserInfo {
    sub: String,
    #[serde(flatten)]
    address: Address,
}

#[derive(Deserialize)]
struct Address {
    email: Option<String>,
    email_verified: Option<Value>,
}

// === impl OpenId ===

impl OpenId {
    pub(super) fn new(issuer: &str, registration: Registration, client: &reqwest::Client) -> Self {
        Self {
            issuer: issuer.to_owned(),
            metadata: Metadata::new(issuer, &registration.client_id, client),
            registration,
            client: client.clone(),
        }
    }

    /// Returns the URL to send a browser to.
    pub(super) async fn authorization(
        &self,
        state: &str,
        nonce: &str,
        challenge: &str,
        fresh: bool,
    ) -> Result<Url, Refusal> {
        let mut url = self.metadata.known().await?.authorization.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.registration.client_id)
            .append_pair("redirect_uri", &self.registration.redirect_uri)
            .append_pair("scope", SCOPE)
            .append_pair("state", state)
            .append_pair("nonce", nonce)
            .append_pair("code_challenge", challenge)
            .append_pair("code_challenge_method", "S256");
        if fresh {
            // `max_age` makes the provider tell when the user logged in (OpenID Connect Core section
            // 3.1.2.1).
            url.query_pairs_mut()
                .append_pair("prompt", "login")
                .append_pair("max_age", "0");
        }
        Ok(url)
    }

    /// Refuses a response that another issuer has sent (RFC 9207 section 2.4).
    pub(super) async fn check_issuer(&self, named: Option<&str>) -> Result<(), Refusal> {
        let good = match named {
            Some(named) => named == self.issuer,
            None => !self.metadata.known().await?.names_itself,
        };
        good.then_some(()).ok_or(Refusal::MixedUp)
    }

    /// Returns the user that a code belongs to.
    pub(super) async fn identify(
        &self,
        code: &str,
        verifier: &str,
        nonce: &str,
    ) -> Result<Identity, Refusal> {
        let known = self.metadata.known().await?;
        let (registration, how) = (&self.registration, known.authentication);
        let tokens = exchange::redeem(
            &self.client,
            &known.token,
            registration,
            how,
            code,
            verifier,
        );
        let tokens = tokens.await?;
        let claims = self.verified(&known, &tokens, nonce).await?;
        let address = match claims.address.email {
            Some(_) => claims.address,
            None => self.address(&known, &tokens, &claims.sub).await?,
        };
        let now = now();
        Ok(Identity {
            issuer: self.issuer.clone(),
            subject: claims.sub,
            email: address.verified(),
            auth_time: claims.auth_time.unwrap_or(now).clamp(0, now),
        })
    }

    async fn verified(
        &self,
        known: &Arc<Known>,
        tokens: &Tokens,
        nonce: &str,
    ) -> Result<Claims, Refusal> {
        let Some(id_token) = &tokens.id_token else {
            return Err(exchange::unavailable(
                &known.token,
                "its response has no ID token",
            ));
        };
        let token = match known.verifier.verify(id_token).await {
            Ok(token) => token,
            Err(error) if error.status().is_server_error() => {
                let error = with_causes(&error);
                tracing::warn!(error, "the keys of a provider are unavailable");
                return Err(Refusal::Unavailable);
            }
            Err(error) => {
                let error = with_causes(&error);
                tracing::warn!(error, "the ID token of a provider is refused");
                return Err(Refusal::NotConfirmed("id_token_refused"));
            }
        };
        let claims: Claims = serde_json::from_str(token.payload())
            .map_err(|_| Refusal::NotConfirmed("claims_malformed"))?;
        if claims.nonce.as_deref() != Some(nonce) {
            return Err(Refusal::NotConfirmed("wrong_nonce"));
        }
        // Section 3.1.3.7: if `azp` is present, it names the client that the token was made for.
        let azp = claims.azp.as_deref();
        if azp.is_some_and(|azp| azp != self.registration.client_id) {
            return Err(Refusal::NotConfirmed("token_of_another_client"));
        }
        Ok(claims)
    }

    /// Asks for the email address if the ID token does not contain it.
    async fn address(
        &self,
        known: &Known,
        tokens: &Tokens,
        subject: &str,
    ) -> Result<Address, Refusal> {
        let (Some(endpoint), Some(token)) = (&known.userinfo, &tokens.access_token) else {
            return Ok(Address {
                email: None,
                email_verified: None,
            });
        };
        let request = self.client.get(endpoint.clone()).bearer_auth(token);
        let info: UserInfo = exchange::fetch(request, endpoint).await?;
        // Section 5.3.2: otherwise the response may be about another user.
        if info.sub != subject {
            return Err(Refusal::NotConfirmed("claims_about_another_user"));
        }
        Ok(info.address)
    }
}

// === impl Address ===

impl Address {
    /// Returns the address if the provider has verified it. Some providers send the flag as a string.
    fn verified(&self) -> Option<Email> {
        let is_verified = match &self.email_verified {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) => text == "true",
            _ => false,
        };
        let email = self.email.as_deref().filter(|_| is_verified)?;
        Email::parse(email)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_address_counts_only_if_the_provider_has_verified_it() {
        let address = |flag: Value, email: Value| -> Option<Email> {
            let address = json!({ "email": email, "email_verified": flag });
            serde_json::from_value::<Address>(address)
                .unwrap()
                .verified()
        };
        let ada = json!("Ada@Example.com");
        for (flag, good) in [
            (json!(true), true),
            (json!("true"), true),
            (json!(false), false),
            (json!("false"), false),
            (json!(1), false),
            (json!(null), false),
        ] {
            assert_eq!(address(flag.clone(), ada.clone()).is_some(), good, "{flag}");
        }
        assert_eq!(
            address(json!(true), ada).unwrap().as_str(),
            "ada@example.com"
        );
        assert_eq!(address(json!(true), json!("ada")), None);
        assert_eq!(address(json!(true), json!(null)), None);
    }
}
