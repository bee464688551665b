//! Tokens that are bound to a client certificate (RFC 8705).

use http::Request;
use tower_jwt_auth::JwtAuthLayer;
use tower_jwt_auth::mtls::{ClientCertificate, ClientCertificates, ProxyHeader};

use super::support::{ORDERS, World, send, with_bearer};

/// What a server knows about its peer, in these tests.
#[derive(Clone, Copy)]
struct Peer {
    is_proxy: bool,
}

fn certificate(of: &str) -> ClientCertificate {
    ClientCertificate::from_der(of).unwrap()
}

fn bound_to(world: &World, of: &str) -> String {
    let token = world
        .tokens
        .access("alice")
        .client_certificate(&certificate(of));
    token.issue().unwrap()
}

fn over(connection: Option<&str>, mut request: Request<()>) -> Request<()> {
    if let Some(of) = connection {
        request.extensions_mut().insert(certificate(of));
    }
    request
}

#[tokio::test]
async fn a_token_is_accepted_only_with_its_certificate() {
    let world = World::new();
    let verifier = world.tokens.verifier();
    let certificates = ClientCertificates::from_connection();
    let allowed = JwtAuthLayer::new(verifier.clone()).client_certificates(certificates.clone());
    let required = JwtAuthLayer::new(verifier.clone())
        .client_certificates(certificates.require_bound_tokens());
    let without = JwtAuthLayer::new(verifier);
    let (bound, unbound) = (bound_to(&world, "alice"), world.unbound_token());
    let by_certificate = format!(
        "200 Certificate {{ x5t: {:?} }}",
        certificate("alice").thumbprint()
    );
    for (layer, connection, token, expected) in [
        (&allowed, Some("alice"), &bound, &*by_certificate),
        (
            &allowed,
            Some("mallory"),
            &bound,
            "401 bound_to_other_certificate",
        ),
        (&allowed, None, &bound, "401 bound_token"),
        (&allowed, Some("mallory"), &unbound, "200 None"),
        (&allowed, None, &unbound, "200 None"),
        (&required, Some("alice"), &bound, &by_certificate),
        (
            &required,
            Some("mallory"),
            &bound,
            "401 bound_to_other_certificate",
        ),
        (&required, None, &bound, "401 bound_token"),
        (
            &required,
            Some("alice"),
            &unbound,
            "401 certificate_required",
        ),
        (&without, Some("alice"), &bound, "401 bound_token"),
    ] {
        let answer = send(layer, over(connection, with_bearer(token))).await;
        assert_eq!(answer.told(), expected, "{connection:?}");
        if answer.status == 401 {
            let challenge = answer.header("www-authenticate");
            assert_eq!(challenge, [r#"Bearer realm="api", error="invalid_token""#]);
        }
    }
}

#[tokio::test]
async fn a_header_counts_only_from_a_trusted_proxy() {
    let world = World::new();
    let header = ProxyHeader::envoy();
    let certificates = ClientCertificates::from_header(header, |extensions| {
        extensions.get::<Peer>().is_some_and(|peer| peer.is_proxy)
    });
    let layer = JwtAuthLayer::new(world.tokens.verifier()).client_certificates(certificates);
    let token = bound_to(&world, "alice");
    let hex: String = {
        use sha2::Digest as _;
        let hash = sha2::Sha256::digest("alice");
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    for (is_proxy, headers, expected) in [
        (Some(true), vec![format!("Hash={hex}")], 200),
        (Some(false), vec![format!("Hash={hex}")], 401),
        (None, vec![format!("Hash={hex}")], 401),
        (Some(true), vec![], 401),
        (
            Some(true),
            vec![format!("Hash={hex}"), format!("Hash={hex}")],
            401,
        ),
        (Some(true), vec![format!("Hash={}", "0".repeat(64))], 401),
    ] {
        // A certificate in the extensions counts only if that is configured.
        let mut request = over(Some("alice"), with_bearer(&token));
        for header in &headers {
            let name = "x-forwarded-client-cert";
            request.headers_mut().append(name, header.parse().unwrap());
        }
        if let Some(is_proxy) = is_proxy {
            request.extensions_mut().insert(Peer { is_proxy });
        }
        let answer = send(&layer, request).await;
        assert_eq!(answer.status, expected, "{is_proxy:?} {headers:?}");
    }
}

#[tokio::test]
async fn a_token_bound_twice_needs_both_proofs() {
    let world = World::new();
    let layer = world
        .layer()
        .client_certificates(ClientCertificates::from_connection());
    let dpop = world.dpop();
    let proof = super::sessions::proof_of(&world, &dpop, &world.key);
    proof.mark_used().await.unwrap();
    let token = world.tokens.access("alice").dpop(&proof);
    let token = token
        .client_certificate(&certificate("alice"))
        .issue()
        .unwrap();
    let with_proof = || {
        let proof = world.proof("GET", ORDERS).token(&token).sign();
        super::support::get_orders("DPoP", &token, &proof)
    };
    let both = send(&layer, over(Some("alice"), with_proof())).await;
    assert!(
        both.told().starts_with("200 DpopAndCertificate"),
        "{}",
        both.told()
    );
    for request in [
        with_proof(),
        over(Some("mallory"), with_proof()),
        over(Some("alice"), with_bearer(&token)),
        with_bearer(&token),
    ] {
        assert_eq!(send(&layer, request).await.status, 401);
    }
}
