//! The ways to use a guard, each as a request and its response.

use std::convert::Infallible;
use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tower::{Layer as _, ServiceBuilder, ServiceExt as _, service_fn};
use tower_jwt_auth::guard::{Allowed, Policy};
use tower_jwt_auth::layer::{ProblemJson, error_response};
use tower_jwt_auth::{AuthError, JwtAuthLayer, Require, TokenVerifier, VerifiedToken};

use crate::support::{Seen, bearer, builder, claims, request, signed};

/// The requirement, which is part of the application's state.
pub struct FromState;

impl Policy<Require> for FromState {
    fn requirement(state: &Require) -> &Require {
        state
    }
}

async fn extracted(user: Allowed<FromState>) -> String {
    user.subject().unwrap_or_default().to_owned()
}

async fn by_hand(
    State(require): State<Require>,
    token: VerifiedToken,
) -> Result<String, AuthError> {
    token.require_async(&require).await?;
    Ok(token.subject().unwrap_or_default().to_owned())
}

/// One verifier for all tests, because they make many requests.
pub fn verifier() -> TokenVerifier {
    static VERIFIER: LazyLock<TokenVerifier> =
        LazyLock::new(|| builder().0.build().unwrap().verifier());
    VERIFIER.clone()
}

pub fn token(more: &str) -> String {
    signed(r#"{"alg":"HS256","typ":"at+jwt"}"#, claims(more))
}

/// A layer whose refusals differ from the default ones.
pub fn auth() -> JwtAuthLayer<ProblemJson> {
    JwtAuthLayer::new(verifier())
        .optional()
        .realm("shop")
        .on_error(ProblemJson)
}

fn incoming(token: Option<&str>) -> Request<String> {
    token.map_or_else(|| request(&[]), bearer)
}

async fn through_axum(app: Router, token: Option<&str>) -> Seen {
    let request = incoming(token).map(Body::from);
    let (parts, body) = app.oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let mut seen = Seen::of(Response::from_parts(parts, body));
    for name in ["content-length", "content-type"] {
        seen.headers.remove(name);
    }
    seen
}

/// The response of each way. The request has this token, or none.
pub async fn answers(require: &Require, token: Option<&str>) -> Vec<(&'static str, Seen)> {
    let mut answers = Vec::new();

    let layers = ServiceBuilder::new().layer(auth()).layer(require.clone());
    let service = layers.into_inner().layer(crate::support::probe());
    let mut seen = Seen::of(service.oneshot(incoming(token)).await.unwrap());
    seen.headers.remove("content-type");
    answers.push(("layer", seen));

    let handler = async |token: VerifiedToken| token.subject().unwrap_or_default().to_owned();
    let app = Router::new()
        .route("/", get(handler).route_layer(require.clone()))
        .route_layer(auth());
    answers.push(("layer in axum", through_axum(app, token).await));

    let app = Router::new()
        .route("/", get(extracted))
        .route_layer(auth())
        .with_state(require.clone());
    answers.push(("extractor", through_axum(app, token).await));

    let app = Router::new()
        .route("/", get(by_hand))
        .route_layer(auth())
        .with_state(require.clone());
    if token.is_some() {
        answers.push(("by hand in axum", through_axum(app, token).await));
    }

    let by_hand = |require: Require| {
        service_fn(move |request: Request<String>| {
            let require = require.clone();
            async move {
                let token = request.extensions().get::<VerifiedToken>().unwrap();
                let answer = match token.require_async(&require).await {
                    Ok(()) => Response::new(token.subject().unwrap().to_owned()),
                    Err(error) => error_response(error),
                };
                Ok::<_, Infallible>(answer)
            }
        })
    };
    if token.is_some() {
        let service = auth().layer(by_hand(require.clone()));
        let mut seen = Seen::of(service.oneshot(incoming(token)).await.unwrap());
        seen.headers.remove("content-type");
        answers.push(("by hand", seen));
    }
    answers
}

/// The response that all ways have in common: status and challenge, then `Retry-After` if there is one.
pub async fn answer(require: &Require, token: Option<&str>) -> String {
    let answers = answers(require, token).await;
    let (_, first) = &answers[0];
    for (way, other) in &answers {
        assert_eq!(first, other, "{way} differs for {require}");
    }
    match first.headers.get("retry-after") {
        Some(after) => format!("{}, after {}", first.verdict(), after.to_str().unwrap()),
        None => first.verdict(),
    }
}

/// The response to a token with these additional claims.
pub async fn answer_to(require: &Require, more: &str) -> String {
    answer(require, Some(&token(more))).await
}
