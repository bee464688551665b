//! The API description (OpenAPI 3.1), generated from the handlers: `/openapi.json` and `/docs`.
//!
//! `routes!` adds a handler with `#[utoipa::path]` to the description. A handler behind a guard names its
//! scopes by their types, as in `security(("bearer" = [Admin::NAME]))`. A test compares them with the
//! challenge of the guard. Where a bearer token is accepted, a token that is bound to a key is accepted as well,
//! which is added here.

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};
use tower::ServiceBuilder;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::openapi::path::Operation;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
};
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
const DPOP: &str = "dpop";
/// The header of a proof.
const PROOF: &str = "DPoP";
const PROBLEM: &str = "Problem";
/// What responses with tokens contain. A proof in the request binds these tokens to its key.
const ISSUED: [&str; 2] = [
    "#/components/schemas/Tokens",
    "#/components/schemas/LoginAnswer",
];

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

/// Describes tokens that are bound to a key. Clients name this address in proofs.
struct Bound<'a>(&'a str);

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

// === impl Bound ===

impl Modify for Bound<'_> {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let components = api.components.get_or_insert_with(Components::new);
        let described = format!(
            "Tokens that are bound to a key (RFC 9449). Send `Authorization: DPoP TOKEN`, and in the header \
             `DPoP` a proof for the request, whose `htu` is {} and the path.",
            self.0
        );
        let scheme = ApiKeyValue::with_description(PROOF, &described);
        components.add_security_scheme(DPOP, SecurityScheme::ApiKey(ApiKey::Header(scheme)));
        for operation in api.paths.paths.values_mut().flat_map(operations) {
            if let Some(security) = &mut operation.security
                && let Some(scopes) = scopes_of_bearer(security)
            {
                security.insert(1, SecurityRequirement::new(DPOP, scopes));
            }
            if issues_tokens(operation) {
                let parameters = operation.parameters.get_or_insert_default();
                parameters.push(RefOr::T(proof_parameter()));
            }
        }
    }
}

/// Returns the scopes of the token, or `None` if the operation needs no token.
fn scopes_of_bearer(security: &[SecurityRequirement]) -> Option<Vec<String>> {
    let first = serde_json::to_value(security.first()?).ok()?;
    serde_json::from_value(first.get(BEARER)?.clone()).ok()
}

fn issues_tokens(operation: &Operation) -> bool {
    let Some(RefOr::T(response)) = operation.responses.responses.get("200") else {
        return false;
    };
    let mut contents = response.content.values();
    contents.any(|content| match content {
        RefOr::T(content) => matches!(
            &content.schema,
            Some(RefOr::Ref(schema)) if ISSUED.contains(&schema.ref_location.as_str())
        ),
        RefOr::Ref(_) => false,
    })
}

fn proof_parameter() -> Parameter {
    ParameterBuilder::new()
        .name(PROOF)
        .parameter_in(ParameterIn::Header)
        .description(Some(
            "A proof that the client has a key (RFC 9449 section 4.2). The tokens are bound to it.",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}

fn problem() -> Response {
    let schema = Ref::from_schema_name(PROBLEM);
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new()
        .description(
            "An error. A 429 or 503 has `Retry-After`; the response to a bad token has `WWW-Authenticate`.",
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

/// Serves the description and its page. Both are part of the program and need no other site. `address` is
/// what clients name in proofs, if tokens can be bound to keys.
pub(crate) fn routes(mut description: utoipa::openapi::OpenApi, address: Option<&str>) -> Router {
    WhatAllShare.modify(&mut description);
    if let Some(address) = address {
        Bound(address).modify(&mut description);
    }
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
