//! `/me/avatar`: a user's picture, for whoever has a token.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use tower_jwt_auth::VerifiedToken;

use crate::avatars::{KEPT_TYPE, NotKept, TYPES};
use crate::problem::Problem;
use crate::typed::PathId;
use crate::{App, User};

/// Kept by the browser alone, which asks each time whether it is still the same.
const CACHED: HeaderValue = HeaderValue::from_static("private, no-cache");
/// Opened by itself, it can do nothing.
const SANDBOX: HeaderValue =
    HeaderValue::from_static("default-src 'none'; sandbox; frame-ancestors 'none'");

/// At most 1 MiB. It is cut to a square of 256 pixels; nothing else of the file is kept.
#[utoipa::path(
    put,
    operation_id = "put_avatar",
    path = "/me/avatar",
    tag = "accounts",
    request_body(content(
        (inline(String) = "image/png"),
        (inline(String) = "image/jpeg"),
        (inline(String) = "image/webp"),
    )),
    responses((status = 204, description = "It is the picture from now on")),
    security(("bearer" = []))
)]
pub(crate) async fn put(
    State(app): State<App>,
    token: VerifiedToken,
    headers: HeaderMap,
    sent: Bytes,
) -> Result<StatusCode, Problem> {
    let user = app.user_of(&token).await?;
    let named = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    if !named.is_some_and(|named| TYPES.contains(&named)) {
        let detail =
            "Send a picture, with `Content-Type: image/png`, `image/jpeg` or `image/webp`.";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Problem::new(status, "unsupported_media_type", detail));
    }
    match app.avatars.keep(&user.id, sent).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(NotKept::NoImage) => {
            let detail = "This is no picture that can be read, or it has too many pixels.";
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            Err(Problem::new(status, "invalid_image", detail))
        }
        Err(NotKept::Busy) => Err(Problem::busy()),
        Err(NotKept::Storage(error)) => Err(error.into()),
    }
}

#[utoipa::path(
    get,
    operation_id = "own_avatar",
    path = "/me/avatar",
    tag = "accounts",
    responses((status = 200, description = "The picture", content_type = "image/png")),
    security(("bearer" = []))
)]
pub(crate) async fn own(
    State(app): State<App>,
    token: VerifiedToken,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let user = app.user_of(&token).await?;
    picture(&app, Some(user), &headers).await
}

/// Those of disabled users are not shown.
#[utoipa::path(
    get,
    operation_id = "avatar",
    path = "/users/{id}/avatar",
    tag = "accounts",
    params(("id" = String, Path)),
    responses((status = 200, description = "The picture", content_type = "image/png")),
    security(("bearer" = []))
)]
pub(crate) async fn of(
    State(app): State<App>,
    token: VerifiedToken,
    id: PathId,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    app.user_of(&token).await?;
    let user = app.users.active(id.as_str()).await?;
    picture(&app, user, &headers).await
}

#[utoipa::path(
    delete,
    operation_id = "delete_avatar",
    path = "/me/avatar",
    tag = "accounts",
    responses((status = 204, description = "There is none from now on")),
    security(("bearer" = []))
)]
pub(crate) async fn delete(
    State(app): State<App>,
    token: VerifiedToken,
) -> Result<StatusCode, Problem> {
    let user = app.user_of(&token).await?;
    app.avatars.remove(&user.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn picture(app: &App, user: Option<User>, headers: &HeaderMap) -> Result<Response, Problem> {
    let picture = match user {
        Some(user) => app.avatars.of(&user.id).await?,
        None => None,
    };
    let Some(picture) = picture else {
        let detail = "There is no such picture.";
        return Err(Problem::new(StatusCode::NOT_FOUND, "not_found", detail));
    };
    let hash = URL_SAFE_NO_PAD.encode(&Sha256::digest(&picture)[..16]);
    let etag = HeaderValue::try_from(format!("\"{hash}\""));
    let etag = etag.map_err(|error| Problem::internal(&error))?;
    let known = headers.get(IF_NONE_MATCH) == Some(&etag);
    let about = [
        (CACHE_CONTROL, CACHED),
        (CONTENT_SECURITY_POLICY, SANDBOX),
        (ETAG, etag),
    ];
    if known {
        return Ok((StatusCode::NOT_MODIFIED, about).into_response());
    }
    Ok((about, [(CONTENT_TYPE, KEPT_TYPE)], picture).into_response())
}
