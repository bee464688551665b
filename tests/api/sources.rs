//! Where a layer looks for the token of a request.

use http::{Method, Request};
use tower::{Layer, ServiceExt};
use tower_jwt_auth::layer::TokenSource;
use tower_jwt_auth::{AuthError, AuthErrorKind, JwtAuthLayer};

use crate::support::{bearer, probe, request, send, tokens, verifier};

const REQUEST: &str = r#"400 Bearer realm="api", error="invalid_request""#;
const TOKEN: &str = r#"401 Bearer realm="api", error="invalid_token""#;

async fn verdict(layer: &JwtAuthLayer, request: Request<String>) -> String {
    let seen = send(layer, request).await;
    if seen.status == 200 {
        seen.body
    } else {
        seen.verdict()
    }
}

#[tokio::test]
async fn the_authorization_header_is_read_strictly() {
    let layer = JwtAuthLayer::new(verifier());
    let token = tokens().access("alice").issue().unwrap();
    for (value, expected) in [
        (format!("Bearer {token}"), "alice"),
        (format!("bearer {token}"), "alice"),
        (format!("BEARER    {token}"), "alice"),
        (format!("Bearer {token}  "), "alice"),
        ("Bearer".into(), REQUEST),
        ("bearer ".into(), REQUEST),
        (format!("Bearer\t{token}"), REQUEST),
        (format!("Bearer {token} {token}"), REQUEST),
        (format!("Bearer {token}, Bearer {token}"), REQUEST),
        (format!("Bearer {token},"), REQUEST),
        ("Bearer a.b".into(), TOKEN),
        ("Bearer {}".into(), TOKEN),
        ("Bearer =".into(), TOKEN),
        ("Basic dXNlcjpwYXNz".into(), r#"401 Bearer realm="api""#),
        ("Bearertoken".into(), r#"401 Bearer realm="api""#),
        ("Bear".into(), r#"401 Bearer realm="api""#),
        (token.clone(), r#"401 Bearer realm="api""#),
        (format!("DPoP {token}"), r#"401 Bearer realm="api""#),
    ] {
        let request = request(&[("authorization", &value)]);
        assert_eq!(verdict(&layer, request).await, expected, "{value}");
    }
    assert_eq!(
        verdict(&layer, request(&[])).await,
        r#"401 Bearer realm="api""#
    );
    assert_eq!(
        verdict(&layer, request(&[("authorization", "")])).await,
        r#"401 Bearer realm="api""#
    );

    let mut not_text = request(&[]);
    let value = http::HeaderValue::from_bytes(b"Bearer \xff\xfe").unwrap();
    not_text.headers_mut().insert("authorization", value);
    assert_eq!(verdict(&layer, not_text).await, TOKEN);

    let twice = format!("Bearer {token}");
    for second in [twice.as_str(), "Basic x", ""] {
        let two = request(&[("authorization", &twice), ("authorization", second)]);
        assert_eq!(verdict(&layer, two).await, REQUEST, "{second}");
    }
}

#[tokio::test]
async fn other_places_are_read_only_if_configured() {
    let token = tokens().access("alice").issue().unwrap();
    let mut everywhere = request(&[
        ("cookie", &format!("__Host-token={token}")),
        ("sec-websocket-protocol", &format!("bearer.{token}")),
        ("content-type", "application/x-www-form-urlencoded"),
    ]);
    *everywhere.uri_mut() = format!("/?access_token={token}").parse().unwrap();
    *everywhere.body_mut() = format!("access_token={token}");
    assert_eq!(
        verdict(&JwtAuthLayer::new(verifier()), everywhere).await,
        r#"401 Bearer realm="api""#
    );
}

#[tokio::test]
async fn a_cookie_counts_only_for_our_own_pages() {
    let source = TokenSource::cookie("__Host-token", ["https://app.example"]).unwrap();
    let layer = JwtAuthLayer::new(verifier()).token_source(source);
    let token = tokens().access("alice").issue().unwrap();
    let cookie = format!("theme=dark; __Host-token={token}; lang=en");
    let send = async |method: Method, headers: &[(&str, &str)]| {
        let mut request = request(&[&[("cookie", cookie.as_str())], headers].concat());
        *request.method_mut() = method;
        verdict(&layer, request).await
    };
    let ours = ("origin", "https://app.example");
    let theirs = ("origin", "https://evil.example");
    assert_eq!(send(Method::GET, &[]).await, "alice");
    assert_eq!(send(Method::GET, &[theirs]).await, "alice");
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
        assert_eq!(send(method.clone(), &[ours]).await, "alice");
        assert_eq!(send(method.clone(), &[]).await, r#"401 Bearer realm="api""#);
        assert_eq!(
            send(method.clone(), &[theirs]).await,
            r#"401 Bearer realm="api""#
        );
        assert_eq!(
            send(method.clone(), &[ours, theirs]).await,
            r#"401 Bearer realm="api""#
        );
        assert_eq!(
            send(method, &[("origin", "null")]).await,
            r#"401 Bearer realm="api""#
        );
    }
    let upgrade = ("upgrade", "websocket");
    assert_eq!(
        send(Method::GET, &[upgrade, theirs]).await,
        r#"401 Bearer realm="api""#
    );
    assert_eq!(send(Method::GET, &[upgrade, ours]).await, "alice");
    assert_eq!(
        send(Method::GET, &[("cookie", "__Host-token=other")]).await,
        REQUEST
    );
    assert_eq!(
        send(Method::GET, &[("authorization", "Bearer x")]).await,
        REQUEST
    );
    let other = request(&[(
        "cookie",
        &format!("__host-token={token}; x__Host-token={token}"),
    )]);
    assert_eq!(verdict(&layer, other).await, r#"401 Bearer realm="api""#);
    assert_eq!(
        verdict(&layer, request(&[("cookie", "__Host-token=; a; =b; ;")])).await,
        r#"401 Bearer realm="api""#
    );
}

#[tokio::test]
async fn cookies_of_others_may_be_in_any_encoding() {
    let source = TokenSource::cookie("__Host-token", ["https://app.example"]).unwrap();
    let layer = JwtAuthLayer::new(verifier()).token_source(source);
    let token = tokens().access("alice").issue().unwrap();
    let mut request = request(&[]);
    let cookies = [
        b"lang=fran\xe7ais; __Host-token=".as_slice(),
        token.as_bytes(),
        b"; x=\xff",
    ];
    let cookies = http::HeaderValue::from_bytes(&cookies.concat()).unwrap();
    request.headers_mut().insert("cookie", cookies);
    assert_eq!(verdict(&layer, request).await, "alice");
}

#[tokio::test]
async fn a_websocket_protocol_carries_a_token() {
    let source = TokenSource::websocket_protocol("bearer.").unwrap();
    let layer = JwtAuthLayer::new(verifier()).token_source(source);
    let token = tokens().access("alice").issue().unwrap();
    let offered = format!("chat.v2, bearer.{token}");
    assert_eq!(
        verdict(&layer, request(&[("sec-websocket-protocol", &offered)])).await,
        "alice"
    );
    let twice = format!("bearer.{token}, bearer.{token}");
    assert_eq!(
        verdict(&layer, request(&[("sec-websocket-protocol", &twice)])).await,
        REQUEST
    );
    let empty = request(&[("sec-websocket-protocol", "chat, bearer.")]);
    assert_eq!(verdict(&layer, empty).await, REQUEST);
    assert_eq!(
        verdict(&layer, request(&[("sec-websocket-protocol", "chat")])).await,
        r#"401 Bearer realm="api""#
    );
}

#[tokio::test]
async fn a_token_in_the_query_needs_the_dangerous_setting() {
    let source = TokenSource::dangerous_query("access_token").unwrap();
    let layer = JwtAuthLayer::new(verifier()).token_source(source);
    let token = tokens().access("alice").issue().unwrap();
    let at = |query: &str| {
        let mut request = request(&[]);
        *request.uri_mut() = format!("/x{query}").parse().unwrap();
        request
    };
    assert_eq!(
        verdict(&layer, at(&format!("?a=b&access_token={token}"))).await,
        "alice"
    );
    for query in [
        "",
        "?",
        "?access_token",
        "?access_tokens=x",
        "?xaccess_token=x",
    ] {
        assert_eq!(
            verdict(&layer, at(query)).await,
            r#"401 Bearer realm="api""#,
            "{query}"
        );
    }
    assert_eq!(verdict(&layer, at("?access_token=")).await, REQUEST);
    let twice = at(&format!("?access_token={token}&access_token={token}"));
    assert_eq!(verdict(&layer, twice).await, REQUEST);
    let mut both = bearer(&token);
    *both.uri_mut() = format!("/x?access_token={token}").parse().unwrap();
    assert_eq!(verdict(&layer, both).await, REQUEST);
}

#[tokio::test]
async fn a_websocket_pair_carries_a_token_after_its_marker() {
    let source = TokenSource::websocket_pair("bearer").unwrap();
    let layer = JwtAuthLayer::new(verifier()).token_source(source);
    let token = tokens().access("alice").issue().unwrap();
    for (offered, expected) in [
        (format!("bearer, {token}"), "alice"),
        (format!("chat.v2,bearer,{token}"), "alice"),
        (format!("bearer, {token}, chat.v2"), "alice"),
        (format!("{token}, bearer"), REQUEST),
        ("bearer".into(), REQUEST),
        ("bearer,".into(), REQUEST),
        (format!("bearer, {token}, bearer, {token}"), REQUEST),
        (format!("bearer, bearer, {token}"), REQUEST),
        ("bearer, chat".into(), TOKEN),
        (format!("Bearer, {token}"), r#"401 Bearer realm="api""#),
        (token.clone(), r#"401 Bearer realm="api""#),
    ] {
        let request = request(&[("sec-websocket-protocol", &offered)]);
        assert_eq!(verdict(&layer, request).await, expected, "{offered}");
    }
    let two_lines = request(&[
        ("sec-websocket-protocol", "bearer"),
        ("sec-websocket-protocol", &token),
    ]);
    assert_eq!(verdict(&layer, two_lines).await, "alice");
    let both = request(&[
        ("authorization", &format!("Bearer {token}")),
        ("sec-websocket-protocol", &format!("bearer, {token}")),
    ]);
    assert_eq!(verdict(&layer, both).await, REQUEST);
}

#[tokio::test]
async fn a_gateway_hands_over_a_bare_token_in_a_header() {
    let source = TokenSource::header("Cf-Access-Jwt-Assertion").unwrap();
    let layer = JwtAuthLayer::new(verifier()).token_source(source);
    let token = tokens().access("alice").issue().unwrap();
    let name = "cf-access-jwt-assertion";
    for (value, expected) in [
        (token.clone(), "alice"),
        (format!("Bearer {token}"), REQUEST),
        (format!("{token}, {token}"), REQUEST),
        (format!("{token},"), REQUEST),
        (String::new(), REQUEST),
        ("  ".into(), REQUEST),
        ("garbage".into(), TOKEN),
    ] {
        let verdict = verdict(&layer, request(&[(name, &value)])).await;
        assert_eq!(verdict, expected, "{value}");
    }
    let twice = request(&[(name, &token), (name, &token)]);
    assert_eq!(verdict(&layer, twice).await, REQUEST);
    let both = request(&[
        (name, &token),
        ("authorization", &format!("Bearer {token}")),
    ]);
    assert_eq!(verdict(&layer, both).await, REQUEST);
    let mut not_text = request(&[]);
    let value = http::HeaderValue::from_bytes(b"\xff").unwrap();
    not_text.headers_mut().insert(name, value);
    assert_eq!(verdict(&layer, not_text).await, REQUEST);
    assert_eq!(
        verdict(&layer, request(&[])).await,
        r#"401 Bearer realm="api""#
    );
}

#[test]
fn a_source_that_could_never_match_is_refused_when_it_is_made() {
    let cookie = |name: &str, origins: &[&str]| {
        TokenSource::cookie(name, origins.iter().copied()).map_err(|error| error.to_string())
    };
    for good in [
        "https://app.example",
        "https://app.example:8443",
        "http://localhost:3000",
        "http://127.0.0.1:3000",
    ] {
        assert!(cookie("__Host-token", &[good]).is_ok(), "{good}");
    }
    for (name, origins, expected) in [
        ("t", &["https://app.example/"] as &[_], "a slash at the end"),
        ("t", &["https://App.example"], "in lower case"),
        ("t", &["https://app.example:443"], "default port"),
        ("t", &["app.example"], "is not an origin"),
        ("t", &["https://a.example", "*"], "`*` is not an origin"),
        ("t", &["null"], "is not an origin"),
        ("t", &[""], "is not an origin"),
        ("t", &["http://app.example"], "serve the page over https"),
        ("t", &[], "has no origins"),
        ("", &["https://app.example"], "the cookie name"),
        ("a b", &["https://app.example"], "the cookie name `a b`"),
        ("a=", &["https://app.example"], "the cookie name `a=`"),
    ] {
        let error = cookie(name, origins).unwrap_err();
        assert!(error.contains(expected), "{name} {origins:?}: {error}");
    }
    for (name, expected) in [
        ("", "is not a header name"),
        ("x y", "is not a header name"),
        ("authorization", "it is always read"),
        ("Cookie", "TokenSource::cookie"),
        ("Sec-WebSocket-Protocol", "TokenSource::websocket_pair"),
        ("Proxy-Authorization", "for proxies"),
    ] {
        let error = TokenSource::header(name).unwrap_err().to_string();
        assert!(error.contains(expected), "{name}: {error}");
    }
    for bad in ["", "bearer ", "a,b", "b\u{e4}r"] {
        for error in [
            TokenSource::websocket_protocol(bad).unwrap_err(),
            TokenSource::websocket_pair(bad).unwrap_err(),
        ] {
            assert!(error.to_string().contains("WebSocket"), "{bad}: {error}");
        }
    }
    for bad in ["", "access token", "a=b", "a&b", "a%20"] {
        let error = TokenSource::dangerous_query(bad).unwrap_err().to_string();
        assert!(error.contains("query parameter"), "{bad}: {error}");
    }
}

#[tokio::test]
async fn a_refusal_says_why_the_text_is_not_a_token() {
    let source = TokenSource::cookie("t", ["https://app.example"]).unwrap();
    let layer = JwtAuthLayer::new(verifier()).token_source(source);
    let token = tokens().access("alice").issue().unwrap();
    let cookie = format!("t={token}");
    for (headers, expected) in [
        (
            &[("authorization", token.as_str())] as &[_],
            "`Bearer` and a space",
        ),
        (&[("authorization", "Basic eDp5")], "`Bearer` and a space"),
        (
            &[("cookie", &cookie), ("upgrade", "websocket")],
            "no `Origin`",
        ),
        (&[], "the request carries no bearer token"),
    ] {
        let response = layer
            .layer(probe())
            .oneshot(request(headers))
            .await
            .unwrap();
        let error = response.extensions().get::<AuthError>().unwrap();
        assert_eq!(error.kind(), AuthErrorKind::MissingToken);
        assert!(error.to_string().contains(expected), "{error}");
    }
}
