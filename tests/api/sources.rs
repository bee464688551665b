use http::{Method, Request};
use tower_jwt_auth::{JwtAuthLayer, TokenSource};

use crate::support::{bearer, request, send, tokens, verifier};

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
        (format!("bearer {token}"), "alice"), // B05
        (format!("BEARER    {token}"), "alice"),
        (format!("Bearer {token}  "), "alice"),
        ("Bearer".into(), REQUEST),
        ("bearer ".into(), REQUEST),
        (format!("Bearer\t{token}"), REQUEST),
        (format!("Bearer {token} {token}"), REQUEST),
        (format!("Bearer {token}, Bearer {token}"), REQUEST), // B06
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
        assert_eq!(verdict(&layer, two).await, REQUEST, "{second}"); // B06
    }
}

#[tokio::test]
async fn other_places_are_read_only_where_asked_for() {
    let token = tokens().access("alice").issue().unwrap();
    let mut everywhere = request(&[
        ("cookie", &format!("__Host-token={token}")),
        ("sec-websocket-protocol", &format!("bearer.{token}")),
        ("content-type", "application/x-www-form-urlencoded"),
    ]);
    *everywhere.uri_mut() = format!("/?access_token={token}").parse().unwrap();
    *everywhere.body_mut() = format!("access_token={token}"); // B07, B08
    assert_eq!(
        verdict(&JwtAuthLayer::new(verifier()), everywhere).await,
        r#"401 Bearer realm="api""#
    );
}

#[tokio::test]
async fn a_cookie_counts_for_our_own_pages_only() {
    let source = TokenSource::cookie("__Host-token", ["https://app.example"]);
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
    ); // B06
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
    let source = TokenSource::cookie("__Host-token", ["https://app.example"]);
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
    let layer =
        JwtAuthLayer::new(verifier()).token_source(TokenSource::websocket_protocol("bearer."));
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
    assert_eq!(
        verdict(&layer, request(&[("sec-websocket-protocol", "chat")])).await,
        r#"401 Bearer realm="api""#
    );
}

#[tokio::test]
async fn a_query_parameter_carries_a_token_only_by_the_dangerous_way() {
    let layer =
        JwtAuthLayer::new(verifier()).token_source(TokenSource::dangerous_query("access_token"));
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
    assert_eq!(verdict(&layer, at("?access_token=")).await, TOKEN);
    let twice = at(&format!("?access_token={token}&access_token={token}"));
    assert_eq!(verdict(&layer, twice).await, REQUEST);
    let mut both = bearer(&token);
    *both.uri_mut() = format!("/x?access_token={token}").parse().unwrap();
    assert_eq!(verdict(&layer, both).await, REQUEST); // B06
}
