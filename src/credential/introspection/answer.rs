//! [`Said`]: what the server says about a token (RFC 7662 section 2.2), and [`Problem`]: why there is no
//! usable answer.

use std::time::Duration;

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{Response, StatusCode, Uri};
use serde_json::{Map, Value};

use super::outage::Severity;
use crate::codec::{Field, Payload};
use crate::error::Reason;
use crate::jwks::FetchError;

/// The longest answer that is read, in bytes: 64 KiB.
pub(super) const MAX_BYTES: usize = 64 * 1024;

/// What the server says.
pub(super) enum Said {
    Inactive,
    /// The token is active, but of a type that is not accepted here.
    OtherType(&'static Reason),
    Active(Box<Payload>),
}

/// The reason why there is no usable answer.
#[derive(Debug)]
pub(super) struct Problem {
    /// A text for logs.
    pub(super) what: String,
    pub(super) severity: Severity,
    /// The server's `Retry-After`.
    pub(super) retry_after: Option<Duration>,
    /// Whether the endpoint may have moved.
    pub(super) is_moved: bool,
}

/// The members that are added to an answer that lacks them.
pub(super) struct Missing<'m> {
    pub(super) issuer: Option<&'m str>,
    pub(super) token_id: &'m str,
}

static NOT_BEARER: Reason = Reason {
    code: "not_a_bearer_token",
    message: "the authorization server says that the token is of another type than `Bearer` (`token_type`)",
};

const FORBIDDEN: &str = "the server refuses the credentials of this service: check the client id and the \
                         secret, how they are sent (`client_secret_basic` or `client_secret_post`), and \
                         whether this client may introspect tokens";

/// Reads an answer.
pub(super) fn read(
    response: Response<Vec<u8>>,
    uri: &Uri,
    missing: &Missing<'_>,
    required: &[Box<str>],
) -> Result<Said, Problem> {
    let problem = |what: &str| Problem::from(FetchError::answer(what, uri));
    if response.status() != StatusCode::OK {
        return Err(Problem::status(&response, uri));
    }
    if let Some(found) = response.headers().get(CONTENT_TYPE)
        && !found.to_str().is_ok_and(is_json)
    {
        return Err(problem(
            "the response is not JSON by its `Content-Type`: is this the introspection endpoint?",
        ));
    }
    let not_an_object = || problem("the response is not a JSON object, or has a duplicate member");
    let text = String::from_utf8(response.into_body()).map_err(|_| not_an_object())?;
    // The answer is read as strictly as the claims of a token.
    let text = Payload::parse(text, &[]).map_err(|_| not_an_object())?;
    let mut members: Map<String, Value> =
        serde_json::from_str(text.json()).map_err(|_| not_an_object())?;
    match members.get("active") {
        Some(Value::Bool(true)) => {}
        Some(Value::Bool(false)) => return Ok(Said::Inactive),
        _ => {
            return Err(problem(
                "the response does not say whether the token is active: `active` is not `true` or `false`",
            ));
        }
    }
    match members.get("token_type") {
        None | Some(Value::Null) => {}
        Some(Value::String(found)) if is_known_type(found) => {}
        Some(Value::String(_)) => return Ok(Said::OtherType(&NOT_BEARER)),
        Some(_) => return Err(problem("the `token_type` of the response is not a string")),
    }
    let text = if complete(&mut members, missing) {
        Value::Object(members).to_string()
    } else {
        text.into_json()
    };
    let payload = Payload::parse(text, required).map_err(|_| not_an_object())?;
    match of_wrong_type(&payload) {
        Some(name) => Err(problem(&format!(
            "the `{name}` of the response has the wrong type"
        ))),
        None => Ok(Said::Active(Box::new(payload))),
    }
}

/// Whether a media type is JSON: `application/json`, or any that ends with `+json`.
fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    essence == "application/json" || (essence.contains('/') && essence.ends_with("+json"))
}

/// Whether the meaning of a type is known: bearer tokens (RFC 6750), DPoP (RFC 9449), and the kinds of tokens
/// that some servers name here. For all but bearer tokens, the policy decides.
fn is_known_type(token_type: &str) -> bool {
    let text = token_type.to_ascii_lowercase();
    let kind = text
        .strip_prefix("urn:ietf:params:oauth:token-type:")
        .unwrap_or(&text);
    let kinds = ["access", "refresh", "id", "logout", "offline"];
    matches!(kind, "bearer" | "dpop")
        || kinds.contains(&kind.trim_end_matches("token").trim_end_matches(['_', '-']))
}

/// Adds missing members, and removes those that are `null` or an empty name. Returns whether anything
/// changed.
fn complete(members: &mut Map<String, Value>, missing: &Missing<'_>) -> bool {
    let before = members.len();
    members.retain(|name, value| match value {
        Value::Null => false,
        Value::String(text) => !(text.is_empty() && matches!(&**name, "sub" | "jti")),
        _ => true,
    });
    let mut changed = members.len() != before;
    let mut add = |members: &mut Map<String, Value>, name: &str, text: &str| {
        if !members.contains_key(name) {
            members.insert(name.to_owned(), text.into());
            changed = true;
        }
    };
    if let Some(issuer) = missing.issuer {
        add(members, "iss", issuer);
    }
    add(members, "jti", missing.token_id);
    // A token without a resource owner belongs to the client (RFC 9068 section 2.2).
    if !members.contains_key("username")
        && let Some(Value::String(client)) = members.get("client_id")
        && !client.is_empty()
    {
        let client = client.clone();
        add(members, "sub", &client);
    }
    changed
}

/// Returns the name of a member that does not have the type of RFC 7662 section 2.2, if there is one.
fn of_wrong_type(payload: &Payload) -> Option<&'static str> {
    [
        ("exp", payload.expires_at().is_wrong()),
        ("iat", payload.issued_at().is_wrong()),
        ("nbf", payload.not_before().is_wrong()),
        ("sub", payload.subject().is_wrong()),
        ("aud", matches!(payload.audiences(), Field::WrongType)),
        ("iss", payload.issuer().is_wrong()),
        ("jti", payload.token_id().is_wrong()),
    ]
    .into_iter()
    .find_map(|(name, is_wrong)| is_wrong.then_some(name))
}

/// Whether a 4xx status is caused by this service, its credentials or the URL, and not by the token.
fn is_about_us(status: StatusCode) -> bool {
    matches!(status.as_u16(), 401 | 403 | 404 | 405 | 408 | 410 | 429)
}

// === impl Problem ===

impl Problem {
    fn status(response: &Response<Vec<u8>>, uri: &Uri) -> Self {
        let status = response.status();
        let asks_for_time = matches!(status.as_u16(), 429 | 503);
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .filter(|_| asks_for_time);
        let seconds = retry_after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        Self {
            retry_after: seconds.map(Duration::from_secs),
            is_moved: status.is_redirection() || matches!(status.as_u16(), 404 | 405 | 410),
            severity: if status.is_client_error() && !is_about_us(status) {
                Severity::OfToken
            } else {
                Severity::BadAnswer
            },
            ..Self::from(FetchError::status(response, uri, FORBIDDEN))
        }
    }

    /// Says that the server was not asked, because it is down.
    pub(super) fn left_alone() -> Self {
        Self {
            what: "the authorization server is unavailable, and is not asked again for a while"
                .to_owned(),
            severity: Severity::NoAnswer,
            retry_after: None,
            is_moved: false,
        }
    }
}

impl From<FetchError> for Problem {
    fn from(error: FetchError) -> Self {
        Self {
            severity: if error.is_answer() {
                Severity::BadAnswer
            } else {
                Severity::NoAnswer
            },
            what: error.chain(),
            retry_after: None,
            is_moved: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(body: &str) -> Result<Said, Problem> {
        let missing = Missing {
            issuer: Some("https://idp.example"),
            token_id: "digest",
        };
        let uri = Uri::from_static("https://idp.example/introspect?secret=x");
        read(Response::new(body.into()), &uri, &missing, &[])
    }

    fn payload(body: &str) -> Box<Payload> {
        match said(body) {
            Ok(Said::Active(payload)) => payload,
            Ok(_) => panic!("not active: {body}"),
            Err(problem) => panic!("{body}: {problem:?}"),
        }
    }

    #[test]
    fn a_complete_answer_is_left_as_it_is() {
        let body = r#" {"z":1.50,"active":true,"iss":"i","sub":"s","jti":"j"} "#;
        assert_eq!(payload(body).json(), body);
    }

    #[test]
    fn missing_members_are_added_and_null_counts_as_missing() {
        let read = payload(
            r#"{"active":true,"client_id":"machine","sub":null,"jti":"","iss":null,"nbf":null,"cnf":null}"#,
        );
        assert_eq!(read.subject().text(), Some("machine"));
        assert_eq!(read.token_id().text(), Some("digest"));
        assert_eq!(read.issuer().text(), Some("https://idp.example"));
        assert!(!read.json().contains("null"));
    }

    #[test]
    fn a_user_name_is_not_the_subject_and_hides_the_client() {
        let read = payload(r#"{"active":true,"client_id":"app","username":"alice"}"#);
        assert_eq!(read.subject().text(), None);
        let read = payload(r#"{"active":true,"client_id":"app","sub":"a1","username":"alice"}"#);
        assert_eq!(read.subject().text(), Some("a1"));
    }

    #[test]
    fn only_a_boolean_says_whether_a_token_is_active() {
        for body in [
            "",
            "null",
            "[]",
            "true",
            "{}",
            r#"{"active":null}"#,
            r#"{"active":"true"}"#,
            r#"{"active":1}"#,
            r#"{"active":true,"active":true}"#,
            r#"{"active":false,"active":true}"#,
            r#"{"active":true,"\u0061ctive":false}"#,
            r#"{"active":true} x"#,
            r#"{"active":true"#,
            r#"{"active":true,"exp":"1700000000"}"#,
            r#"{"active":true,"sub":5}"#,
            r#"{"active":true,"aud":[5]}"#,
            r#"{"active":true,"token_type":5}"#,
        ] {
            assert!(said(body).is_err(), "{body}");
        }
        assert!(matches!(
            said(r#"{"active":false,"exp":"x"}"#),
            Ok(Said::Inactive)
        ));
    }

    #[test]
    fn types_of_other_than_bearer_tokens_are_recognized() {
        for known in [
            "Bearer",
            "bearer",
            "DPoP",
            "access_token",
            "access-token",
            "refresh_token",
            "Refresh",
            "urn:ietf:params:oauth:token-type:access_token",
            "AccessToken",
        ] {
            assert!(is_known_type(known), "{known}");
        }
        for other in ["", "mac", "PoP", "N_A", "bearer token", "token"] {
            assert!(!is_known_type(other), "{other}");
        }
    }

    #[test]
    fn json_is_recognized_by_its_media_type() {
        for good in [
            "application/json",
            "application/json;charset=UTF-8",
            "Application/JSON ; x=y",
            "application/vnd.example+json",
        ] {
            assert!(is_json(good), "{good}");
        }
        for bad in [
            "",
            "text/html",
            "text/plain",
            "json",
            "+json",
            "application/jwt",
            "application/token-introspection+jwt",
            "text/html, application/json",
        ] {
            assert!(!is_json(bad), "{bad}");
        }
    }

    #[test]
    fn a_problem_says_what_to_do_and_shows_no_query() {
        let problem = |status: u16| {
            let mut response = Response::new(Vec::new());
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            response.headers_mut().insert(RETRY_AFTER, 7.into());
            let uri = Uri::from_static("https://idp.example/introspect?secret=x");
            Problem::status(&response, &uri)
        };
        let refused = problem(401);
        assert!(
            refused
                .what
                .contains("the response was 401: the server refuses the credentials")
        );
        assert!(
            refused.what.ends_with("(idp.example/introspect)"),
            "{}",
            refused.what
        );
        assert_eq!((refused.retry_after, refused.is_moved), (None, false));
        assert_eq!(problem(503).retry_after, Some(Duration::from_secs(7)));
        assert!(problem(404).is_moved && problem(302).is_moved);
    }
}
