//! The storage in a cloud: an S3 server on this machine, the Python package `moto`.

use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode};

use crate::avatars::{get, picture, put};
use crate::support::program::{Running, service};
use crate::support::python::environment;
use crate::support::server::Server;
use crate::support::{Answer, Client, Folder};

const PACKAGE: &str = "moto[s3,server]==5.2.5";

struct Cloud {
    server: Server,
    client: Client,
}

impl Cloud {
    async fn start() -> Option<Self> {
        let mut server = Server::new(Folder::new("s3"), "KILL", None);
        let port = server.port.to_string();
        let programs = environment(PACKAGE)?;
        server.runs(
            programs.join("moto_server"),
            &["-H", "127.0.0.1", "-p", &port],
        );
        let client = Client::new(([127, 0, 0, 1], server.port).into());
        let mut cloud = Self { server, client };
        cloud.launch().await;
        Some(cloud)
    }

    /// Starts the server, which has forgotten everything, and makes the bucket.
    async fn launch(&mut self) {
        self.server.launch();
        let start = Instant::now();
        let address = self.client.address();
        while tokio::net::TcpStream::connect(address).await.is_err() {
            let log = self.server.log();
            assert!(start.elapsed() < Duration::from_secs(60), "{log}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let made = self.client.fetch(Method::PUT, "/bucket", &[]).await;
        assert!(made.status.is_success(), "{made:?}");
    }

    async fn object(&self, path: &str) -> Answer {
        let signed = [("authorization", "AWS4-HMAC-SHA256 Credential=key/x/y/s3/z")];
        let path = format!("/bucket/prefix/{path}");
        self.client.fetch(Method::GET, &path, &signed).await
    }

    fn service(&self, folder: &Folder) -> Running {
        let mut command = service(folder.path());
        let endpoint = format!("http://{}", self.client.address());
        command.env("STORAGE_URL", "s3://bucket/prefix");
        command
            .env("AWS_ENDPOINT_URL", endpoint)
            .env("AWS_ALLOW_HTTP", "true");
        command
            .env("AWS_ACCESS_KEY_ID", "key")
            .env("AWS_SECRET_ACCESS_KEY", "secret");
        command.env("AWS_REGION", "eu-central-1");
        command.env("PUBLISH_JWKS", ".well-known/jwks.json");
        Running::start(command)
    }
}

#[tokio::test]
async fn avatars_and_public_keys_are_in_the_bucket() {
    let Some(mut cloud) = Cloud::start().await else {
        return;
    };
    let folder = Folder::new("cloud");
    let running = cloud.service(&folder);
    let client = Client::new(running.socket());
    let ada = client.user("ada@a.de").await;
    let kept = put(&client, &ada, "image/png", picture()).await;
    assert_eq!(kept.status, StatusCode::NO_CONTENT, "{kept:?}");
    let shown = get(&client, &ada, "/me/avatar", "").await;
    let id = ada.claims()["sub"].as_str().unwrap().to_owned();
    let object = cloud.object(&format!("avatars/{id}")).await;
    assert_eq!(object.header("content-type"), "image/png");
    assert_eq!(object.body, shown.body);

    let served = client
        .fetch(Method::GET, "/.well-known/jwks.json", &[])
        .await;
    let mut object = cloud.object(".well-known/jwks.json").await;
    for _ in 0..100 {
        if object.status == StatusCode::OK {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        object = cloud.object(".well-known/jwks.json").await;
    }
    assert_eq!(object.text(), served.text());
    for header in ["content-type", "cache-control"] {
        assert_eq!(object.header(header), served.header(header));
    }

    // While the cloud is away, only avatars fail, in time. When it is back, the service recovers by itself.
    cloud.server.kill();
    let start = Instant::now();
    let answer = get(&client, &ada, "/me/avatar", "").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    put(&client, &ada, "image/png", picture())
        .await
        .assert_unavailable();
    assert!(start.elapsed() < Duration::from_secs(60));
    client.assert_good(&ada).await;
    let ready = client.request(Method::GET, "/readyz", &[], "").await;
    assert_eq!(ready.status, StatusCode::OK);
    cloud.launch().await;
    let kept = put(&client, &ada, "image/png", picture()).await;
    assert_eq!(kept.status, StatusCode::NO_CONTENT, "{kept:?}");
    assert_eq!(get(&client, &ada, "/me/avatar", "").await.body, shown.body);
    let log = running.stop();
    assert!(!log.contains("secret"), "{log}");
}
