//! [`ClientAuth`]: how this service authenticates itself to the authorization server (RFC 7662 section 2.1).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use form_urlencoded::{Serializer, byte_serialize};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Uri};
use zeroize::Zeroizing;

use crate::jwks::request;

type Secret = Zeroizing<String>;

/// The credentials of this service at the authorization server. `Debug` does not show them.
#[derive(Clone)]
pub(super) enum ClientAuth {
    Basic { id: String, secret: Secret },
    Post { id: String, secret: Secret },
    Bearer { token: Secret },
}

// === impl ClientAuth ===

impl ClientAuth {
    /// Returns what is wrong with it, if anything, and what to do.
    pub(super) fn problem(&self) -> Option<&'static str> {
        match self {
            Self::Basic { id, secret } | Self::Post { id, secret } => {
                if id.is_empty() {
                    Some(
                        "the client id for introspection is empty: give the id that this service has at the \
                         authorization server",
                    )
                } else if secret.is_empty() {
                    Some("the client secret for introspection is empty: is its variable set?")
                } else {
                    None
                }
            }
            Self::Bearer { token } if token.is_empty() => {
                Some("the bearer token for introspection is empty: is its variable set?")
            }
            Self::Bearer { token } => {
                let is_good = token.bytes().all(|byte| byte.is_ascii_graphic());
                (!is_good).then_some(
                    "the bearer token for introspection contains white space or a character that is not allowed \
                     in a token: is a line break at its end?",
                )
            }
        }
    }

    /// Makes the request about a token (RFC 7662 section 2.1).
    pub(super) fn request(&self, endpoint: &Uri, token: &str) -> Request<String> {
        let mut form = Serializer::new(String::new());
        form.append_pair("token", token)
            .append_pair("token_type_hint", "access_token");
        let authorization = match self {
            Self::Basic { id, secret } => Some(basic(id, secret)),
            Self::Post { id, secret } => {
                form.append_pair("client_id", id)
                    .append_pair("client_secret", secret);
                None
            }
            Self::Bearer { token } => Some(Zeroizing::new(format!("Bearer {}", **token))),
        };
        let mut request = request(Method::POST, endpoint, "application/json");
        let headers = request.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        // Both consist of characters that are allowed in a header.
        if let Some(mut value) = authorization.and_then(|text| HeaderValue::from_str(&text).ok()) {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        *request.body_mut() = form.finish();
        request
    }
}

/// Makes the value of HTTP Basic. Id and secret are form-encoded before they are joined (RFC 6749 section
/// 2.3.1).
fn basic(id: &str, secret: &str) -> Secret {
    let mut pair = Zeroizing::new(String::new());
    pair.extend(byte_serialize(id.as_bytes()));
    pair.push(':');
    pair.extend(byte_serialize(secret.as_bytes()));
    let encoded = Zeroizing::new(STANDARD.encode(&*pair));
    Zeroizing::new(format!("Basic {}", *encoded))
}

impl fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Basic { .. } => "Basic([redacted])",
            Self::Post { .. } => "Post([redacted])",
            Self::Bearer { .. } => "Bearer([redacted])",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(auth: &ClientAuth, token: &str) -> (Option<String>, String) {
        let uri = Uri::from_static("https://idp.example/introspect");
        let request = auth.request(&uri, token);
        assert_eq!(request.method(), Method::POST);
        let authorization = request.headers().get(AUTHORIZATION);
        assert!(authorization.is_none_or(HeaderValue::is_sensitive));
        let authorization = authorization.map(|value| value.to_str().unwrap().to_owned());
        (authorization, request.into_body())
    }

    #[test]
    fn id_and_secret_are_encoded_before_they_are_joined() {
        let auth = ClientAuth::Basic {
            id: "https://api.example".into(),
            secret: "a b:c%+ö".to_owned().into(),
        };
        let (authorization, body) = sent(&auth, "t");
        let encoded = STANDARD.encode("https%3A%2F%2Fapi.example:a+b%3Ac%25%2B%C3%B6");
        assert_eq!(authorization.unwrap(), format!("Basic {encoded}"));
        assert_eq!(body, "token=t&token_type_hint=access_token");
    }

    #[test]
    fn nothing_in_a_token_or_secret_adds_a_parameter() {
        let auth = ClientAuth::Post {
            id: "id&x".into(),
            secret: "s=1&token=y".to_owned().into(),
        };
        let (authorization, body) = sent(&auth, "a&client_id=evil+ %");
        assert_eq!(authorization, None);
        assert_eq!(
            body,
            "token=a%26client_id%3Devil%2B+%25&token_type_hint=access_token&client_id=id%26x\
             &client_secret=s%3D1%26token%3Dy"
        );
        assert_eq!(format!("{auth:?}"), "Post([redacted])");
    }

    #[test]
    fn a_bearer_token_is_sent_as_it_is() {
        let token = "secret-token".to_owned().into();
        let (authorization, _) = sent(&ClientAuth::Bearer { token }, "t");
        assert_eq!(authorization.unwrap(), "Bearer secret-token");
        for bad in ["", "two words", "line\n", "ö"] {
            let token = bad.to_owned().into();
            assert!(ClientAuth::Bearer { token }.problem().is_some(), "{bad:?}");
        }
    }
}
