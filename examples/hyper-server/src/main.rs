//! The layer on hyper alone, without axum: three routes, each of which is a tower service.

use std::{convert::Infallible, env, error::Error, process::ExitCode, time::Duration};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt, service_fn};
use tower_jwt_auth::config::AuthConfig;
use tower_jwt_auth::{JwtAuthLayer, Require, TokenVerifier, VerifiedToken};

type Answer = Response<Full<Bytes>>;
type Route = BoxCloneSyncService<Request<Incoming>, Answer, Infallible>;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hyper-server: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let address = env::var("BIND_ADDR").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let development = AuthConfig::env_is_empty();
    let config = if development {
        AuthConfig::development()?
    } else {
        AuthConfig::from_env()?
    };
    let service = TowerToHyperService::new(routes(config.verifier_builder()?.build()?));

    let listener = tokio::net::TcpListener::bind(&address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    if development {
        let token = config
            .issuer_builder()?
            .build()?
            .access("alice")
            .scope("read")
            .issue()?;
        println!(
            "no JWT_* variable is set, so here is a token, signed with a random key for this run:\n"
        );
        println!(
            "curl http://{}/me -H 'Authorization: Bearer {token}'",
            listener.local_addr()?
        );
    }
    let open = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = tokio::signal::ctrl_c() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // There are too many open files, or the client has disconnected: neither is a reason to stop.
                eprintln!("hyper-server: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new()); // so that a slow client's headers time out
        let connection = http.serve_connection(TokioIo::new(stream), service.clone());
        let connection = open.watch(connection);
        tokio::spawn(async move {
            // A client that disconnects in the middle of a request is not an error of the server.
            let _ = connection.await;
        });
    }
    open.shutdown().await;
    Ok(())
}

/// Each path is a service of its own. `/healthz` and unknown paths have no layer.
fn routes(verifier: TokenVerifier) -> Route {
    let auth = JwtAuthLayer::new(verifier);
    let me = BoxCloneSyncService::new(auth.layer(service_fn(me)));
    let scoped = Require::scope("read").layer(service_fn(self::me));
    let scoped = BoxCloneSyncService::new(auth.layer(scoped));
    let healthz = BoxCloneSyncService::new(service_fn(async |_| Ok(text(StatusCode::OK, "ok"))));
    let nowhere = service_fn(async |_| Ok(text(StatusCode::NOT_FOUND, "not found")));
    let nowhere = BoxCloneSyncService::new(nowhere);

    BoxCloneSyncService::new(service_fn(move |request: Request<Incoming>| {
        let route: &Route = match request.uri().path() {
            "/me" => &me,
            "/scoped" => &scoped,
            "/healthz" => &healthz,
            _ => &nowhere,
        };
        route.clone().oneshot(request)
    }))
}

/// Returns the verified claims, as the issuer wrote them.
async fn me(request: Request<Incoming>) -> Result<Answer, Infallible> {
    let Some(token) = request.extensions().get::<VerifiedToken>() else {
        return Ok(text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the route has no JwtAuthLayer",
        ));
    };
    let mut answer = text(StatusCode::OK, token.payload().to_owned());
    answer.headers_mut().insert(
        CONTENT_TYPE,
        "application/json".parse().expect("a header value"),
    );
    Ok(answer)
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer
}
