//! Requests as providers and attackers send them.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Method};
use http_body::{Body, Frame};
use http_body_util::StreamBody;
use serde_json::json;
use tower_jwt_auth::backchannel_logout::MAX_LOGOUT_REQUEST_BYTES;

use super::{FORM, Node, logout_token, request, send};

/// A body that never ends, and announces no length.
struct Endless(bool);

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.0 {
            Poll::Pending // without end
        } else {
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'a'; 1000])))))
        }
    }
}

fn good_form() -> String {
    format!("logout_token={}", logout_token(json!({})))
}

#[tokio::test]
async fn only_post_is_answered() {
    let node = Node::new();
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "post"] {
        let mut request = request(&[("content-type", FORM)], good_form());
        *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = send(&node.logout, request).await;
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.headers["allow"], "POST");
    }
    assert!(node.store.is_empty());
}

#[tokio::test]
async fn only_a_form_is_read() {
    let node = Node::new();
    for headers in [
        &[][..],
        &[("content-type", "application/json")],
        &[("content-type", "text/plain")],
        &[("content-type", "multipart/form-data; boundary=x")],
        &[("content-type", "application/x-www-form-urlencodedx")],
        &[("content-type", FORM), ("content-type", FORM)],
    ] {
        let answer = send(&node.logout, request(headers, good_form())).await;
        assert_eq!(
            (answer.status.as_u16(), answer.reason()),
            (400, "logout_not_a_form")
        );
    }
    for content_type in [
        FORM,
        "application/x-www-form-urlencoded; charset=utf-8",
        "Application/X-WWW-Form-Urlencoded ;charset=UTF-8",
    ] {
        let request = request(&[("content-type", content_type)], good_form());
        assert_eq!(
            send(&node.logout, request).await.status,
            200,
            "{content_type}"
        );
    }
}

#[tokio::test]
async fn the_form_must_contain_exactly_one_token() {
    let node = Node::new();
    let token = logout_token(json!({}));
    for (form, reason) in [
        (String::new(), "no_logout_token"),
        ("logout_token=".into(), "no_logout_token"),
        (format!("id_token={token}"), "no_logout_token"),
        (
            format!("logout_token={token}&logout_token={token}"),
            "logout_token_twice",
        ),
        (
            format!("logout_token={token}&x=1&logout_token="),
            "logout_token_twice",
        ),
        (format!("logout_token={token}%"), "malformed_form"),
        (format!("logout_token=+{token}"), "foreign_character"),
    ] {
        let answer = send(&node.logout, request(&[("content-type", FORM)], form)).await;
        assert_eq!((answer.status.as_u16(), answer.reason()), (400, reason));
    }
    assert!(node.store.is_empty());
    // Other parameters are ignored (section 2.5).
    let form = format!("client_id=x&logout_token={token}&state=%zz");
    let answer = send(&node.logout, request(&[("content-type", FORM)], form)).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_body_is_read_up_to_its_limit_and_no_further() {
    let node = Node::new();
    let form = good_form();
    let filled = |length: usize| format!("{form}&x={}", "y".repeat(length - form.len() - 3));
    let send = async |body: String| {
        let answer = send(&node.logout, request(&[("content-type", FORM)], body)).await;
        (answer.status.as_u16(), answer.reason().to_owned())
    };
    let too_long = (400, "logout_request_unreadable".to_owned());
    assert_eq!(send(filled(MAX_LOGOUT_REQUEST_BYTES + 1)).await, too_long);
    assert_eq!(send(filled(MAX_LOGOUT_REQUEST_BYTES)).await.0, 200);
    let endless = request(&[("content-type", FORM)], Endless(false));
    let answer = super::send(&node.logout, endless).await;
    assert_eq!(
        (answer.status.as_u16(), answer.reason().to_owned()),
        too_long
    );
}

#[tokio::test]
async fn a_body_may_come_in_pieces() {
    let node = Node::new();
    let form = good_form();
    let pieces: Vec<_> = form
        .as_bytes()
        .chunks(7)
        .map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(piece))))
        .chain([Ok(Frame::trailers(HeaderMap::new()))])
        .collect();
    let body = StreamBody::new(stream::iter(pieces));
    let answer = send(&node.logout, request(&[("content-type", FORM)], body)).await;
    assert_eq!(answer.status, 200);
    assert!(!node.store.is_empty());
}

#[tokio::test]
async fn a_body_that_breaks_off_is_refused() {
    let node = Node::new();
    let pieces = [
        Ok(Frame::data(Bytes::from(good_form()))),
        Err(std::io::Error::other("the connection was reset")),
    ];
    let body = StreamBody::new(stream::iter(pieces));
    let answer = send(&node.logout, request(&[("content-type", FORM)], body)).await;
    assert_eq!(
        (answer.status.as_u16(), answer.reason()),
        (400, "logout_request_unreadable")
    );
    assert!(!answer.body.contains("reset") && node.store.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_given_up() {
    let node = Node::new();
    let request = request(&[("content-type", FORM)], Endless(true));
    let answer = send(&node.logout, request).await;
    assert_eq!(
        (answer.status.as_u16(), answer.reason()),
        (400, "logout_request_too_slow")
    );
}
