//! How the cookie is set and removed.

use tower_jwt_auth::Sessions;
use tower_jwt_auth::refresh_cookie::{DEFAULT_COOKIE_NAME, RefreshCookie, RefreshCookieError};
use tower_jwt_auth::sessions::MemorySessions;

use super::{ATTRIBUTES, OURS, clock_at, cookie, names_the_problem, pair, read};
use crate::support::{NOW, builder};

#[test]
fn the_cookie_has_the_attributes_that_its_prefix_demands() {
    let pair = pair();
    let set = cookie().set(&pair).unwrap();
    assert!(set.is_sensitive());
    assert_eq!(
        set.to_str().unwrap(),
        format!(
            "__Host-refresh={}; Max-Age={}; {ATTRIBUTES}",
            pair.refresh_token, pair.refresh_expires_in
        )
    );
    assert_eq!(
        cookie().clear(),
        format!("__Host-refresh=; Max-Age=0; {ATTRIBUTES}")
    );
    assert_eq!(cookie().name(), DEFAULT_COOKIE_NAME);
}

#[test]
fn the_cookie_lives_as_long_as_the_session() {
    let mut pair = pair();
    pair.refresh_expires_in = 7;
    let set = cookie().set(&pair).unwrap();
    assert!(set.to_str().unwrap().contains("; Max-Age=7; "), "{set:?}");
    pair.refresh_expires_in = 0;
    let set = cookie().set(&pair).unwrap();
    assert!(set.to_str().unwrap().contains("; Max-Age=0; "), "{set:?}");
}

#[test]
fn the_name_and_same_site_can_be_set() {
    let cookie = RefreshCookie::builder([OURS])
        .name("__Host-Http-session")
        .same_site_lax()
        .build()
        .unwrap();
    assert_eq!(cookie.name(), "__Host-Http-session");
    assert_eq!(
        cookie.clear(),
        "__Host-Http-session=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax"
    );
    let sent = [("origin", OURS), ("cookie", "__Host-Http-session=a.b.c")];
    assert_eq!(read(&cookie, &sent), "a.b.c");
    let sent = [("origin", OURS), ("cookie", "__Host-refresh=a.b.c")];
    assert_eq!(read(&cookie, &sent), "none");
}

#[test]
fn a_name_that_other_hosts_could_set_is_refused() {
    for name in [
        "refresh",
        "",
        "__Secure-refresh",
        "__host-refresh", // older browsers enforce the prefix only in this spelling
        "__HOST-refresh",
        " __Host-refresh",
        "x__Host-refresh",
        "=__Host-refresh",
    ] {
        let built = RefreshCookie::builder([OURS]).name(name).build();
        names_the_problem(built, &["does not begin with `__Host-`", "__Host-refresh"]);
    }
}

#[test]
fn a_name_that_is_not_a_token_is_refused() {
    for name in [
        "__Host-a b",
        "__Host-a=b",
        "__Host-a;b",
        "__Host-a; Domain=example",
        "__Host-a\r\nSet-Cookie: b=c",
        "__Host-a\tb",
        "__Host-a,b",
        "__Host-\"a\"",
        "__Host-a/b",
        "__Host-(a)",
        "__Host-ä",
        "__Host-\u{2000}a",
        "__Host-a\0",
    ] {
        let built = RefreshCookie::builder([OURS]).name(name).build();
        names_the_problem(built, &["contains a character"]);
    }
    let built = RefreshCookie::builder([OURS]).name("__Host-").build();
    names_the_problem(built, &["nothing after the prefix"]);
}

#[test]
fn a_token_cannot_inject_anything_into_the_header() {
    let mut pair = pair();
    for token in [
        "",
        "a; Domain=evil.example",
        "a;b",
        "a b",
        "a,b",
        "a\"b",
        "a\\b",
        "a\tb",
        "a\r\nSet-Cookie: b=c",
        "a\nb",
        "a\0b",
        "a\u{7f}",
        "ä",
    ] {
        pair.refresh_token = token.to_owned();
        let set = cookie().set(&pair);
        assert_eq!(set, Err(RefreshCookieError::MalformedToken), "{token:?}");
    }
    assert_eq!(RefreshCookieError::MalformedToken.status(), 500);
}

#[test]
fn a_token_that_browsers_would_drop_is_an_error() {
    // RFC 6265bis section 5.6: name and value have at most 4096 bytes together.
    let mut pair = pair();
    pair.refresh_token = "a".repeat(4096 - "__Host-refresh".len());
    assert!(cookie().set(&pair).is_ok());
    pair.refresh_token.push('a');
    assert_eq!(cookie().set(&pair), Err(RefreshCookieError::TokenTooLong));
    assert_eq!(RefreshCookieError::TokenTooLong.status(), 500);
}

#[tokio::test]
async fn only_the_end_of_the_session_removes_the_cookie() {
    let (builder, clock) = builder();
    let tokens = builder.build().unwrap();
    let sessions = Sessions::builder(&tokens, MemorySessions::new())
        .build()
        .unwrap();
    let token = sessions.open("alice").issue().await.unwrap().refresh_token;
    let refresh = async || {
        sessions
            .refresh(&token)
            .await?
            .scopes(["admin"])
            .issue()
            .await
    };

    let error = refresh().await.unwrap_err();
    assert_eq!(error.code(), "invalid_scope");
    assert_eq!(cookie().clear_after(&error), None);

    clock.set(clock_at(NOW - 3600)); // another node is an hour behind
    let error = refresh().await.unwrap_err();
    assert_eq!(error.status(), 503);
    assert_eq!(cookie().clear_after(&error), None);

    clock.set(clock_at(NOW));
    sessions.end_all("alice").await.unwrap();
    let error = sessions.refresh(&token).await.unwrap().issue().await;
    let error = error.unwrap_err();
    assert_eq!(error.code(), "invalid_grant");
    assert_eq!(cookie().clear_after(&error), Some(cookie().clear()));
}

#[test]
fn the_page_never_sees_the_refresh_token() {
    let pair = pair();
    let (access, expires_in) = (pair.access_token.clone(), pair.refresh_expires_in);
    let body = pair.without_refresh_token();
    assert_eq!(
        serde_json::to_value(&body).unwrap(),
        serde_json::json!({
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": 900,
            "refresh_expires_in": expires_in,
        })
    );
    assert!(!format!("{body:?}").contains(&access));
}

#[test]
fn an_error_says_what_to_do_and_shows_no_client_text() {
    use RefreshCookieError::{
        CrossOrigin, DuplicateCookie, MalformedToken, MissingOrigin, TokenTooLong,
    };
    let errors = [
        MissingOrigin,
        CrossOrigin,
        DuplicateCookie,
        TokenTooLong,
        MalformedToken,
    ];
    for error in errors {
        let message = error.to_string();
        assert!(message.starts_with(char::is_lowercase), "{message}");
        assert!(!message.ends_with('.'), "{message}");
    }
    assert!(CrossOrigin.to_string().contains("RefreshCookie::new"));
    assert!(TokenTooLong.to_string().contains("fewer scopes"));
    assert_eq!(
        DuplicateCookie.body(),
        r#"{"error":"invalid_request","error_description":"The request carries two refresh cookies."}"#
    );
}
