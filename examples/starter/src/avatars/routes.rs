//! `/me/avatar`: the avatars of users, for clients with a token.

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

use super::{Avatars, KEPT_TYPE, NotKept, TYPES};
use crate::accounts::{User, Users};
use crate::problem::Problem;
use crate::sessions::Caller;
use crate::typed::PathId;

/// Lets only the browser cache an avatar. It asks each time whether the avatar has changed.
const CACHED: HeaderValue = HeaderValue::from_static("private, no-cache");
/// An avatar that is opened as a page can do nothing.
const SANDBOX: HeaderValue =
    HeaderValue::from_static("default-src 'none'; sandbox; frame-ancestors 'none'");

/// Replaces the avatar of the user.
///
/// The image may have at most 1 MiB. It is cut to a square of 256 pixels, and nothing else of the file is
/// kept.
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
    responses((status = 204, description = "Stored")),
    security(("bearer" = []))
)]
pub(super) async fn put(
    State(avatars): State<Avatars>,
    Caller { user, .. }: Caller,
    headers: HeaderMap,
    sent: Bytes,
) -> Result<StatusCode, Problem> {
    let named = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    if !named.is_some_and(|named| TYPES.contains(&named)) {
        let detail = "Send an image, with `Content-Type: image/png`, `image/jpeg` or `image/webp`.";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Problem::new(status, "unsupported_media_type", detail));
    }
    match avatars.keep(&user.id, sent).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(NotKept::NoImage) => {
            let detail = "This image cannot be read, or it has too many pixels. Send another one.";
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            Err(Problem::new(status, "invalid_image", detail))
        }
        Err(NotKept::Busy) => Err(Problem::busy()),
        Err(NotKept::Storage(error)) => Err(error.into()),
    }
}

/// Returns the avatar of the user.
#[utoipa::path(
    get,
    operation_id = "own_avatar",
    path = "/me/avatar",
    tag = "accounts",
    responses((status = 200, description = "The avatar", content_type = "image/png")),
    security(("bearer" = []))
)]
pub(super) async fn own(
    State(avatars): State<Avatars>,
    Caller { user, .. }: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    avatar(&avatars, Some(user), &headers).await
}

/// Returns the avatar of a user.
///
/// Avatars of disabled users are not shown.
#[utoipa::path(
    get,
    operation_id = "avatar",
    path = "/users/{id}/avatar",
    tag = "accounts",
    params(("id" = String, Path)),
    responses((status = 200, description = "The avatar", content_type = "image/png")),
    security(("bearer" = []))
)]
pub(super) async fn of(
    State(avatars): State<Avatars>,
    State(users): State<Users>,
    _: Caller,
    id: PathId,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let user = users.active(id.as_str()).await?;
    avatar(&avatars, user, &headers).await
}

/// Removes the avatar of the user.
#[utoipa::path(
    delete,
    operation_id = "delete_avatar",
    path = "/me/avatar",
    tag = "accounts",
    responses((status = 204, description = "Removed")),
    security(("bearer" = []))
)]
pub(super) async fn delete(
    State(avatars): State<Avatars>,
    Caller { user, .. }: Caller,
) -> Result<StatusCode, Problem> {
    avatars.remove(&user.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn avatar(
    avatars: &Avatars,
    user: Option<User>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let image = match user {
        Some(user) => avatars.of(&user.id).await?,
        None => None,
    };
    let Some(image) = image else {
        let detail = "There is no avatar.";
        return Err(Problem::new(StatusCode::NOT_FOUND, "not_found", detail));
    };
    let hash = URL_SAFE_NO_PAD.encode(&Sha256::digest(&image)[..16]);
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
    Ok((about, [(CONTENT_TYPE, KEPT_TYPE)], image).into_response())
}
