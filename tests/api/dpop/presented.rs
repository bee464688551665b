//! How a token is presented, and that downgrades are impossible in both directions.

use http::{Method, Request};
use tower::Layer as _;
use tower::ServiceExt as _;
use tower_jwt_auth::dpop::EXPOSED_HEADERS;
use tower_jwt_auth::layer::TokenSource;
use tower_jwt_auth::{JwtAuthLayer, Require, TokenVerifier};

use super::support::{ORDERS, World, get_orders, send, with_bearer};

const BEARER_AND_DPOP: [&str; 2] = [
    r#"Bearer realm="api""#,
    r#"DPoP realm="api", algs="ES256 EdDSA Ed25519 RS256""#,
];

#[tokio::test]
async fn there_is_no_downgrade_in_either_direction() {
    let world = World::new();
    let (bound, unbound) = (world.bound_token().await, world.unbound_token());
    let allowed = world.layer();
    let required = JwtAuthLayer::new(world.tokens.verifier()).require_dpop(world.dpop());
    let without = JwtAuthLayer::new(world.tokens.verifier());
    let with_proof = |scheme: &str, token: &str| {
        let proof = world.proof("GET", ORDERS).token(token).sign();
        get_orders(scheme, token, &proof)
    };
    let by_key = format!("200 Dpop {{ jkt: {:?} }}", world.key.thumbprint());
    for (layer, request, expected) in [
        (&allowed, with_proof("DPoP", &bound), &*by_key),
        (&allowed, with_proof("dpop", &bound), &by_key),
        (
            &allowed,
            with_proof("DPoP", &unbound),
            "401 unbound_token_with_proof",
        ),
        (&allowed, with_proof("Bearer", &bound), "401 bound_token"),
        (&allowed, with_bearer(&bound), "401 bound_token"),
        (&allowed, with_bearer(&unbound), "200 None"),
        // The scheme decides, and not a header that happens to be there.
        (&allowed, with_proof("Bearer", &unbound), "200 None"),
        (&required, with_proof("DPoP", &bound), &by_key),
        (
            &required,
            with_proof("DPoP", &unbound),
            "401 unbound_token_with_proof",
        ),
        (&required, with_proof("Bearer", &bound), "401 bound_token"),
        (&required, with_bearer(&unbound), "401 proof_required"),
        (&without, with_proof("DPoP", &bound), "401 other_scheme"),
        (&without, with_proof("Bearer", &bound), "401 bound_token"),
        (&without, with_bearer(&unbound), "200 None"),
    ] {
        let about = format!("{:?}", request.headers()["authorization"]);
        let told = send(layer, request).await.told();
        assert_eq!(told, expected, "{about}");
    }
}

#[tokio::test]
async fn challenges_name_the_schemes_and_the_error_of_the_one_in_use() {
    let world = World::new();
    let (bound, unbound) = (world.bound_token().await, world.unbound_token());
    let nothing = || Request::get("/orders").body(()).unwrap();
    let required = JwtAuthLayer::new(world.tokens.verifier())
        .require_dpop(world.dpop())
        .realm("shop");
    let allowed = world.layer();
    let by_proof = r#"DPoP realm="shop", algs="ES256 EdDSA Ed25519 RS256""#;
    let refused = r#"DPoP realm="shop", error="invalid_token", algs="ES256 EdDSA Ed25519 RS256""#;
    for (layer, request, expected) in [
        (&allowed, nothing(), BEARER_AND_DPOP.to_vec()),
        (
            &allowed,
            with_bearer(&bound),
            vec![
                r#"Bearer realm="api", error="invalid_token""#,
                BEARER_AND_DPOP[1],
            ],
        ),
        (
            &allowed,
            get_orders("DPoP", &bound, "no proof"),
            vec![
                r#"DPoP realm="api", error="invalid_dpop_proof", algs="ES256 EdDSA Ed25519 RS256""#,
            ],
        ),
        (&required, nothing(), vec![by_proof]),
        (&required, with_bearer(&unbound), vec![refused]),
        (&required, with_bearer("nonsense"), vec![refused]),
    ] {
        let answer = send(layer, request).await;
        assert_eq!(answer.header("www-authenticate"), expected);
        let exposed = answer.header("access-control-expose-headers");
        assert_eq!(exposed, ["DPoP-Nonce, WWW-Authenticate"]);
    }
    assert_eq!(
        EXPOSED_HEADERS.map(|name| name.to_string()),
        ["dpop-nonce", "www-authenticate"]
    );
}

#[tokio::test]
async fn an_inner_guard_challenges_with_the_scheme_in_use() {
    let world = World::new();
    let layer = world.layer();
    let handler = tower::service_fn(async |_: Request<()>| {
        Ok::<_, std::convert::Infallible>(http::Response::new(String::new()))
    });
    let service = layer.layer(Require::scope("orders:write").layer(handler));
    let token = world.bound_token().await;
    let proof = world.proof("GET", ORDERS).token(&token).sign();
    let by_proof = service.clone().oneshot(get_orders("DPoP", &token, &proof));
    let response = by_proof.await.unwrap();
    assert_eq!(response.status(), 403);
    assert_eq!(
        response.headers()["www-authenticate"],
        r#"DPoP realm="api", error="insufficient_scope", scope="orders:write", algs="ES256 EdDSA Ed25519 RS256""#
    );
    let bearer = service
        .oneshot(with_bearer(&world.unbound_token()))
        .await
        .unwrap();
    assert_eq!(
        bearer.headers()["www-authenticate"],
        r#"Bearer realm="api", error="insufficient_scope", scope="orders:write""#
    );
}

#[tokio::test]
async fn a_proof_binds_a_token_in_a_cookie() {
    let world = World::new();
    let cookie = || TokenSource::cookie("__Host-token", ["https://app.example"]).unwrap();
    let layer = world
        .layer()
        .token_source(cookie())
        .optional_ignoring_bad_cookies();
    let (bound, unbound) = (world.bound_token().await, world.unbound_token());
    let request = |token: &str, proof: Option<String>| {
        let mut request = Request::get("/orders")
            .header("Cookie", format!("__Host-token={token}"))
            .body(())
            .unwrap();
        if let Some(proof) = proof {
            request.headers_mut().insert("dpop", proof.parse().unwrap());
        }
        request
    };
    let proof = |token: &str| Some(world.proof("GET", ORDERS).token(token).sign());
    let by_key = format!("200 Dpop {{ jkt: {:?} }}", world.key.thumbprint());
    for (request, expected) in [
        (request(&bound, proof(&bound)), &*by_key),
        (request(&unbound, None), "200 None"),
        // A thief who has only the cookie gets nothing.
        (request(&bound, None), "200 nobody"),
        // A script has added the proof to this request, so it learns that the proof is bad.
        (
            request(&bound, proof(&unbound)),
            "401 proof_for_other_token",
        ),
        (
            request(&unbound, proof(&unbound)),
            "401 unbound_token_with_proof",
        ),
    ] {
        assert_eq!(send(&layer, request).await.told(), expected);
    }
}

#[tokio::test]
async fn a_verifier_without_a_layer_refuses_bound_tokens() {
    let world = World::new();
    let token = world.bound_token().await;
    let verifier: TokenVerifier = world.tokens.verifier();
    let error = verifier.verify(&token).await.unwrap_err();
    assert_eq!(error.reason(), "bound_token");
    assert_eq!(
        verifier.verify_local(&token).unwrap_err().reason(),
        "bound_token"
    );
    let dangerous = world
        .tokens
        .verifier_builder()
        .dangerous_accept_bound_tokens();
    let token = dangerous.build().unwrap().verify(&token).await.unwrap();
    assert_eq!(token.binding().as_str(), "unproved");
}

#[tokio::test]
async fn a_binding_that_cannot_be_checked_is_refused() {
    let world = World::new();
    let layer = world.layer();
    let jkt = world.key.thumbprint();
    for (more, expected) in [
        (format!(r#""cnf":{{"jkt":"{jkt}"}}"#), "200 Dpop"),
        (
            format!(r#""cnf":{{"jkt":"{jkt}","other":[1,{{}}]}}"#),
            "200 Dpop",
        ),
        (
            format!(r#""cnf":{{"jkt":"{jkt}"}},"token_type":"DPoP""#),
            "200 Dpop",
        ),
        (
            format!(r#""cnf":{{"jkt":"{jkt}="}}"#),
            "401 bound_to_other_key",
        ),
        (
            format!(r#""cnf":{{"jkt":"{}"}}"#, jkt.to_lowercase()),
            "401 bound_to_other_key",
        ),
        (
            format!(r#""cnf":{{"jkt":"{jkt}","jkt":"{jkt}"}}"#),
            "401 unknown_binding",
        ),
        (
            format!(r#""cnf":{{"jkt":"{jkt}","jwk":{{}}}}"#),
            "401 unknown_binding",
        ),
        (
            format!(r#""cnf":{{"jkt":"{jkt}","x5t#S256":"{jkt}"}}"#),
            "401 bound_token",
        ),
        (r#""cnf":{"jkt":5}"#.into(), "401 unknown_binding"),
        (r#""cnf":{}"#.into(), "401 unbound_token_with_proof"),
        (r#""cnf":[]"#.into(), "401 unknown_binding"),
        (r#""cnf":"x""#.into(), "401 unknown_binding"),
        (r#""cnf":7"#.into(), "401 unknown_binding"),
        (r#""cnf":null"#.into(), "401 unbound_token_with_proof"),
        (
            r#""token_type":"DPoP""#.into(),
            "401 unbound_token_with_proof",
        ),
    ] {
        let payload = crate::support::claims(&format!(",{more}"));
        let token = crate::support::signed(r#"{"alg":"HS256"}"#, payload);
        let proof = world.proof("GET", ORDERS).token(&token).sign();
        let answer = send(&layer, get_orders("DPoP", &token, &proof)).await;
        assert!(
            answer.told().starts_with(expected),
            "{more}: {}",
            answer.told()
        );
        let as_bearer = send(&layer, with_bearer(&token)).await;
        let expected = if more.contains("null") { 200 } else { 401 };
        assert_eq!(as_bearer.status, expected, "{more}");
    }
}

#[tokio::test]
async fn the_address_behind_a_proxy_is_what_was_configured() {
    let world = World::new();
    let dpop = tower_jwt_auth::dpop::Dpop::builder(
        "https://api.example/v1",
        tower_jwt_auth::dpop::MemoryReplays::new(),
    )
    .address("https://internal.example:8443")
    .clock(world.clock.clone())
    .build()
    .unwrap();
    let check = |address: &str, host: &str| {
        let proof = world.proof("POST", address).sign();
        let request = Request::post("/login?next=/")
            .header("Host", host)
            .header("X-Forwarded-Host", host)
            .header("Forwarded", format!("host={host}"))
            .header("DPoP", proof)
            .body(())
            .unwrap();
        dpop.verify_proof(&Method::POST, request.uri(), request.headers())
            .is_ok()
    };
    assert!(check("https://api.example/v1/login", "anything"));
    assert!(check("https://internal.example:8443/login?x", "anything"));
    assert!(!check("https://api.example/login", "api.example"));
    assert!(!check("https://evil.example/login", "evil.example"));
    assert!(!check("https://evil.example/v1/login", "evil.example"));
}
