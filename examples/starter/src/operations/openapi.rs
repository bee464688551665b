//! The API description (OpenAPI 3.1), generated from the handlers: `/openapi.json` and `/docs`.
//!
//! `routes!` adds a handler with `#[utoipa::path]` to the description. A handler behind a guard names its
//! scopes by their types, as in `security(("bearer" = [Admin::NAME]))`. A test compares them with the
//! challenge of the guard.

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};
use tower::ServiceBuilder;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, PathItem, Ref, RefOr, Response, ResponseBuilder,
};
use utoipa::{Modify, OpenApi};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::problem::Document;

/// Swagger UI is bundled, with inline styles, and connects only to this service.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'",
);
const BEARER: &str = "bearer";
const PROBLEM: &str = "Problem";

#[derive(OpenApi)]
#[openapi(
    info(
        description = "Accounts, sessions and tokens. Every error is a problem document (RFC 9457), \
                       whose `error` is a stable code for programs."
    ),
    components(schemas(Document))
)]
struct Api;

/// Returns the general part of the description. The handlers add the routes.
pub(crate) fn base() -> utoipa::openapi::OpenApi {
    Api::openapi()
}

struct WhatAllShare;

// === impl WhatAllShare ===

impl Modify for WhatAllShare {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let components = api.components.get_or_insert_with(Components::new);
        let mut bearer = Http::new(HttpAuthScheme::Bearer);
        bearer.bearer_format = Some("JWT".to_owned());
        components.add_security_scheme(BEARER, SecurityScheme::Http(bearer));
        components
            .responses
            .insert(PROBLEM.to_owned(), RefOr::T(problem()));
        for path in api.paths.paths.values_mut() {
            for operation in operations(path) {
                let any = RefOr::Ref(Ref::from_response_name(PROBLEM));
                let responses = &mut operation.responses.responses;
                responses.insert("default".to_owned(), any);
            }
        }
    }
}

fn problem() -> Response {
    let schema = Ref::from_schema_name(PROBLEM);
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new()
        .description(
            "An error. With 429 and 503 comes `Retry-After`, with a bad token `WWW-Authenticate`.",
        )
        .content("application/problem+json", content)
        .build()
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let all = [
        &mut path.get,
        &mut path.put,
        &mut path.post,
        &mut path.patch,
        &mut path.delete,
    ];
    all.into_iter().flatten()
}

/// Serves the description and its page. Both are part of the program and need no other site.
pub(crate) fn routes(mut description: utoipa::openapi::OpenApi) -> Router {
    WhatAllShare.modify(&mut description);
    let config = Config::default().validator_url("none");
    let page = SwaggerUi::new("/docs").url("/openapi.json", description);
    let headers = ServiceBuilder::new()
        .layer(SetResponseHeaderLayer::overriding(
            CONTENT_SECURITY_POLICY,
            POLICY,
        ))
        .layer(SetResponseHeaderLayer::overriding(
            CACHE_CONTROL,
            HeaderValue::from_static("no-cache"),
        ));
    Router::from(page.config(config)).layer(headers)
}
