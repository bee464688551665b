//! What pages of other origins can read, with the CORS layer of `tower-http` around the service.

use http::{Request, Response};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_http::cors::CorsLayer;
use tower_jwt_auth::JwtAuthLayer;
use tower_jwt_auth::dpop::{DpopNonces, EXPOSED_HEADERS};

use super::support::World;
use crate::support::SECRET;

#[tokio::test]
async fn a_page_on_another_origin_can_read_nonce_and_challenge() {
    let world = World::new();
    let nonces = DpopNonces::new(SECRET).unwrap();
    let dpop = world.builder().nonces(nonces).build().unwrap();
    let auth = JwtAuthLayer::new(world.tokens.verifier()).dpop(dpop);
    let handler = service_fn(async |_: Request<()>| {
        Ok::<_, std::convert::Infallible>(Response::new(String::new()))
    });
    let origin = http::HeaderValue::from_static("https://app.example");
    let plain = CorsLayer::new().allow_origin(origin.clone());
    for cors in [plain.clone(), plain.expose_headers(EXPOSED_HEADERS)] {
        let service = cors.layer(auth.layer(handler));
        let request = Request::get("/orders")
            .header("Origin", &origin)
            .header("Authorization", "DPoP x.y.z")
            .body(())
            .unwrap();
        let response = service.oneshot(request).await.unwrap();
        let exposed = response.headers().get_all("access-control-expose-headers");
        let exposed: Vec<_> = exposed
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect();
        let exposed = exposed.join(",").to_lowercase();
        assert!(exposed.contains("dpop-nonce"), "{exposed}");
        assert!(exposed.contains("www-authenticate"), "{exposed}");
    }
}
