//! [`Client`]: who sent the request, as far as that is known without a login.

use std::time::SystemTime; // chapter: social-login

use axum::extract::FromRequestParts;
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use tower_jwt_auth::dpop::DpopProof;

use super::transport::Transport;
use crate::app::App;
use crate::limits::ClientIp;
use crate::problem::Problem;

/// How many characters of the `User-Agent` a session keeps as its label.
const MAX_LABEL_CHARS: usize = 100;

/// The client that sent a request: its address, the name that it gives itself, how it keeps its refresh
/// token, and the key to which its tokens are bound.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) ip: ClientIp,
    pub(crate) transport: Transport,
    /// The proof that the client has a key. What is issued to it is bound to that key.
    pub(super) proof: Option<DpopProof>,
    // chapter: social-login {
    /// When the user authenticated, if that was elsewhere and before this request.
    pub(crate) auth_time: Option<SystemTime>,
    // chapter: social-login }
    agent: Vec<u8>,
}

// === impl Client ===

impl Client {
    /// Returns the mark of the client, from which the crate keeps a digest beside its session.
    ///
    /// A refresh token that was replaced a moment ago is still accepted: from another tab, or after
    /// a lost response. With the mark, it is accepted only from the client that replaced it. Whoever stole
    /// the token, and sends another `User-Agent` or lacks the device cookie of the browser, does not get
    /// the next token: the session ends instead.
    ///
    /// The device cookie is for browsers ([`Transport::Cookie`]), of which many have the same
    /// `User-Agent`. A header that is absent counts as an empty one: without any mark, a thief would
    /// only have to leave both out.
    pub(crate) fn mark(&self) -> Vec<u8> {
        let device = self.transport.device().unwrap_or_default();
        // No header contains a NUL, so two clients have the same mark only if both parts are the same.
        [&self.agent, &b"\0"[..], device.as_bytes()].concat()
    }

    /// Returns the label by which the user recognizes the session: the beginning of the `User-Agent`.
    pub(crate) fn label(&self) -> Option<String> {
        let agent = std::str::from_utf8(&self.agent).ok()?;
        let label: String = agent.chars().take(MAX_LABEL_CHARS).collect();
        (!label.is_empty()).then_some(label)
    }
}

impl FromRequestParts<App> for Client {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let Ok(ip) = ClientIp::from_request_parts(parts, app).await;
        let agent = parts.headers.get(USER_AGENT);
        let agent = agent.map(|agent| agent.as_bytes().to_vec());
        let transport = Transport::from_request_parts(parts, app).await?;
        let proof = match &app.parts().bound_tokens {
            Some(bound) => bound.proof(parts)?,
            None => None,
        };
        Ok(Self {
            ip,
            transport,
            proof,
            auth_time: None, // chapter: social-login
            agent: agent.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn mark(agent: &str, device: Option<&str>) -> Vec<u8> {
        let transport = match device {
            Some(device) => Transport::Cookie {
                refresh_token: None,
                device: (!device.is_empty()).then(|| device.to_owned()),
            },
            None => Transport::Body,
        };
        let client = Client {
            ip: ClientIp(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            transport,
            proof: None,
            auth_time: None, // chapter: social-login
            agent: agent.as_bytes().to_vec(),
        };
        client.mark()
    }

    #[test]
    fn different_headers_give_different_marks() {
        let marks = [
            mark("", None),
            mark("a", None),
            mark("b", None),
            mark("", Some("AAAA")),
            mark("a", Some("AAAA")),
        ];
        for (number, one) in marks.iter().enumerate() {
            assert!(!one.is_empty());
            assert!(!marks[..number].contains(one), "{number}");
        }
        assert_eq!(mark("a", Some("")), mark("a", None));
    }
}
