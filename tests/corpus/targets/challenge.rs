//! The challenges of refusals: whatever realm, scope and address a layer was given, an independent reader
//! finds them in `WWW-Authenticate`, and nothing else.

use std::convert::Infallible;

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{Request, Response, StatusCode};
use tower::{Layer, Service, service_fn};
use tower_jwt_auth::credential::{CredentialClaims, CredentialVerifier};
use tower_jwt_auth::{AuthError, JwtAuthLayer, Require};

use super::challenge_reader::Challenge;
use super::first_line;
use super::ready::ready;

/// Accepts every credential, without a scope.
#[derive(Debug)]
struct Anybody;

impl CredentialVerifier for Anybody {
    fn handles(&self, _: &str) -> bool {
        true
    }

    async fn verify_credential(&self, _: &str) -> Result<CredentialClaims, AuthError> {
        CredentialClaims::builder("somebody").build()
    }

    fn peek(&self, _: &str) -> Option<Result<CredentialClaims, AuthError>> {
        Some(CredentialClaims::builder("somebody").build())
    }
}

/// Reads four lines: a realm, scopes for a 401, an address of metadata, and scopes of a guard.
pub(super) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (realm, rest) = line(text);
    let (scope, rest) = line(rest);
    let (metadata, guard) = line(rest);
    let layer = JwtAuthLayer::for_credentials(Anybody)
        .realm(realm)
        .challenge_scope(scope)
        .resource_metadata(metadata);
    let guard = Require::scope(guard);
    let is_sound = guard.clone().checked().is_ok();
    let inner =
        service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(String::new())));
    let mut service = layer.layer(guard.layer(inner));
    let mut ask = |authorization: Option<&str>| {
        let mut request = Request::new(());
        let headers = request.headers_mut();
        headers.extend(authorization.map(|value| (AUTHORIZATION, value.parse().unwrap())));
        ready(service.call(request)).unwrap()
    };

    let none = ask(None);
    assert_eq!(none.status(), StatusCode::UNAUTHORIZED);
    let told = only_challenge(&none);
    let scopes = scope.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(told.scheme, "Bearer");
    assert_eq!(told.parameter("realm"), Some(&*shown(realm)));
    assert_eq!(told.parameter("resource_metadata"), Some(&*shown(metadata)));
    assert_eq!(
        told.parameter("scope").map(ToOwned::to_owned),
        (!scopes.is_empty()).then(|| shown(&scopes))
    );
    assert_eq!(told.parameters.len(), 2 + usize::from(!scopes.is_empty()));

    let without_scope = ask(Some("Bearer somebody"));
    if !is_sound {
        assert!(!without_scope.status().is_success());
        return;
    }
    assert_eq!(without_scope.status(), StatusCode::FORBIDDEN);
    let told = only_challenge(&without_scope);
    assert_eq!(told.parameter("realm"), Some(&*shown(realm)));
    assert_eq!(told.parameter("error"), Some("insufficient_scope"));
    let mut wanted: Vec<_> = rest_of(rest).split_whitespace().collect();
    let mut named: Vec<_> = told.parameter("scope").unwrap().split(' ').collect();
    for scopes in [&mut wanted, &mut named] {
        scopes.sort_unstable();
        scopes.dedup();
    }
    assert_eq!(named, wanted);
}

fn line(text: &str) -> (&str, &str) {
    let (line, rest) = first_line(text.as_bytes());
    // A line feed is never a part of another character in UTF-8.
    (
        std::str::from_utf8(line).unwrap(),
        std::str::from_utf8(rest).unwrap(),
    )
}

fn rest_of(text: &str) -> &str {
    line(text).1
}

fn only_challenge(response: &Response<String>) -> Challenge {
    let mut values = response.headers().get_all(WWW_AUTHENTICATE).iter();
    let value = values.next().unwrap();
    assert!(values.next().is_none());
    let read = Challenge::read(value.as_bytes());
    read.unwrap_or_else(|| panic!("{value:?} is not one challenge"))
}

/// Returns a text as a challenge shows it: question marks replace what is not allowed in a quoted string.
fn shown(text: &str) -> String {
    let is_plain = |character: &char| (' '..='~').contains(character);
    text.chars()
        .map(|character| Some(character).filter(is_plain).unwrap_or('?'))
        .collect()
}
