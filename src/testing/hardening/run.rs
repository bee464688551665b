//! Sends the attacks, and checks the responses.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::poll_fn;

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, Request, Response, StatusCode};
use tower_service::Service;

use super::attacks::{Attack, Right, attacks, bearer_value};
use super::kit::Hardening;
use super::weakness::{Finding, Weakness};

/// Attacks a service, and panics if an attack is let through or gets a wrong response.
///
/// The service is the one that you run: a router with all of its layers, whatever they are. Each route must
/// first accept a good token. Then follow some 400 bad requests to it: without credentials; with forged,
/// unsigned, expired or mistyped tokens; with tokens for another service; with attacks in the header; and with
/// tokens in the wrong place. The correct response is 401 with a `Bearer` challenge, 400 or 403; for an
/// oversized token also 413, 414 or 431; and for another spelling of the path, another method or a token in a
/// form, whatever is neither a success nor a server error. At the end, the good token must still be accepted.
///
/// ```
/// # #[cfg(feature = "axum")] {
/// use axum::{Router, routing::get};
/// use http::Method;
/// use tower_jwt_auth::testing::{Hardening, TestIssuer, assert_hardened};
/// use tower_jwt_auth::{JwtAuthLayer, TokenVerifier};
///
/// fn app(verifier: TokenVerifier) -> Router {
///     Router::new().route("/orders", get(|| async { "2 orders" })).route_layer(JwtAuthLayer::new(verifier))
/// }
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let issuer = TestIssuer::new()?;
/// let token = issuer.tokens().access("alice").scope("orders:read").issue()?;
/// let kit = Hardening::new(&issuer, token)?.route(Method::GET, "/orders");
/// assert_hardened(app(issuer.verifier()), &kit).await;
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?; }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Panics
///
/// Panics if there is a finding. The message lists the route, the attack, the response, what it means and
/// what to do, and contains neither a token nor a key.
pub async fn assert_hardened<S, B, R>(service: S, kit: &Hardening<B>)
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
{
    let findings = find_weaknesses(service, kit).await;
    assert!(findings.is_empty(), "{}", report(&findings));
}

/// Attacks a service as [`assert_hardened`] does, and returns the findings.
pub async fn find_weaknesses<S, B, R>(service: S, kit: &Hardening<B>) -> Vec<Finding>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
{
    let mut findings = Vec::new();
    let mut found = |route: &str, attack: &str, weakness, answer: &Answer| {
        if !kit.accepted.contains(&weakness) {
            findings.push(Finding {
                route: route.to_owned(),
                attack: attack.to_owned(),
                weakness,
                status: answer.as_ref().map(|(status, _)| *status),
            });
        }
    };
    let attacks = attacks(kit);
    if kit.routes.is_empty() {
        found("no route", "nothing", Weakness::NothingProven, &None);
    }
    for route in &kit.routes {
        let name = format!("{} {}", route.method(), route.uri().path());
        let good = || {
            let mut request = kit.prepared(route);
            let value = bearer_value(&kit.forge.good);
            request.headers_mut().insert(AUTHORIZATION, value);
            kit.with_body(request)
        };
        let answer = send(service.clone(), good()).await;
        if !is_success(&answer) {
            found(&name, "a good token", Weakness::NothingProven, &answer);
            continue;
        }
        for Attack {
            name: attack,
            weakness,
            right,
            change,
        } in &attacks
        {
            let mut request = kit.prepared(route);
            change(&mut request);
            let answer = send(service.clone(), kit.with_body(request)).await;
            if let Some(weakness) = judge(&answer, *weakness, *right) {
                found(&name, attack, weakness, &answer);
            }
        }
        let answer = send(service.clone(), good()).await;
        if !is_success(&answer) {
            let attack = "a good token after the attacks";
            found(&name, attack, Weakness::NothingProven, &answer);
        }
    }
    findings
}

/// The response, or `None` if the service failed.
type Answer = Option<(StatusCode, HeaderMap)>;

async fn send<S, B, R>(mut service: S, request: Request<B>) -> Answer
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
{
    poll_fn(|context| service.poll_ready(context)).await.ok()?;
    let response = service.call(request).await.ok()?;
    let (parts, _) = response.into_parts();
    let status = grpc_status(&parts.headers).unwrap_or(parts.status);
    Some((status, parts.headers))
}

/// Returns the HTTP status that corresponds to the status of a gRPC response, which always has 200.
fn grpc_status(headers: &HeaderMap) -> Option<StatusCode> {
    Some(match headers.get("grpc-status")?.as_bytes() {
        b"0" => StatusCode::OK,
        b"3" => StatusCode::BAD_REQUEST,
        b"7" => StatusCode::FORBIDDEN,
        b"16" => StatusCode::UNAUTHORIZED,
        b"8" => StatusCode::TOO_MANY_REQUESTS,
        b"5" | b"12" => StatusCode::NOT_FOUND,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    })
}

fn is_success(answer: &Answer) -> bool {
    answer
        .as_ref()
        .is_some_and(|(status, _)| status.as_u16() < 400)
}

/// Returns what is wrong with a response, or `None` if it is correct.
fn judge(answer: &Answer, weakness: Weakness, right: Right) -> Option<Weakness> {
    if is_success(answer) {
        return match answer {
            // A redirect to the correct spelling of a path lets nothing through.
            Some((status, _)) if right == Right::NoSuccess && status.is_redirection() => None,
            _ => Some(weakness),
        };
    }
    let Some((status, headers)) = answer else {
        return Some(Weakness::ServerError);
    };
    match status.as_u16() {
        500.. => Some(Weakness::ServerError),
        _ if right == Right::NoSuccess => None,
        401 => (!has_challenge(headers)).then_some(Weakness::MissingChallenge),
        400 | 403 => None,
        413 | 414 | 431 if right == Right::RefusalOrTooLarge => None,
        _ => Some(Weakness::UnexpectedStatus),
    }
}

/// Returns whether there is a `Bearer` challenge. A gRPC client only gets a status.
fn has_challenge(headers: &HeaderMap) -> bool {
    let is_bearer = |challenge: &str| {
        let scheme = challenge.trim_start().split([' ', '\t']).next();
        scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("Bearer"))
    };
    let values = headers.get_all(WWW_AUTHENTICATE).iter();
    headers.contains_key("grpc-status")
        || values
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.split(',').any(is_bearer))
}

/// Returns the findings by route and weakness, each with its meaning and what to do.
fn report(findings: &[Finding]) -> String {
    const SHOWN: usize = 6;
    let mut groups: BTreeMap<_, Vec<&Finding>> = BTreeMap::new();
    for finding in findings {
        let group = groups.entry((&finding.route, finding.weakness));
        group.or_default().push(finding);
    }
    let mut text = format!("the service is not hardened: {} weaknesses", groups.len());
    for ((route, weakness), findings) in groups {
        let remedy = weakness.remedy();
        let _ = write!(text, "\n\n{route}: {weakness}.\n  remedy: {remedy}");
        for finding in findings.iter().take(SHOWN) {
            let _ = write!(
                text,
                "\n  - {}: answered {}",
                finding.attack,
                finding.answer()
            );
        }
        if findings.len() > SHOWN {
            let _ = write!(text, "\n  - and {} more attacks", findings.len() - SHOWN);
        }
    }
    text
}
