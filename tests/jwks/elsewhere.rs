//! Keys in other places: a certificate file, a bearer token from a file, plain http for a named host, a
//! proxy.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tower_jwt_auth::TokenVerifier;
use tower_jwt_auth::jwks::{HttpsClient, RemoteJwks, RemoteJwksBuilder};

use crate::https::certificate;
use crate::provider::{ISSUER, KEYRING, verdict};

/// A key server that requires a bearer token, and the heads of the requests that it received.
#[derive(Clone, Default)]
struct Heads(Arc<Mutex<Vec<String>>>);

impl Heads {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// The values of `Authorization`.
    fn credentials(&self) -> Vec<Option<String>> {
        let heads = self.take();
        let credentials = heads.iter().map(|head| {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            let found = lines.find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
            found.map(|(_, value)| value.to_owned())
        });
        credentials.collect()
    }
}

/// Serves the keys, over TLS if there is an acceptor.
async fn key_server(tls: Option<tokio_rustls::TlsAcceptor>) -> (SocketAddr, Heads) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heads = Heads::default();
    let told = heads.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (tls, told) = (tls.clone(), told.clone());
            tokio::spawn(async move {
                match tls {
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            answer(stream, &told).await;
                        }
                    }
                    None => answer(stream, &told).await,
                }
            });
        }
    });
    (address, heads)
}

async fn answer(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    told: &Heads,
) {
    let head = read_head(&mut stream).await;
    told.0.lock().unwrap().push(head);
    let body = json!({ "keys": [KEYRING[0].jwk()] }).to_string();
    let response = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(response.as_bytes()).await;
    let _ = stream.shutdown().await;
}

async fn read_head(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

/// A file with this content, in a folder that is removed at the end.
struct File(PathBuf);

impl File {
    fn new(name: &str, content: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("keys-elsewhere-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = Self(folder.join(name));
        file.write(content);
        file
    }

    fn write(&self, content: &str) {
        fs::write(&self.0, content).unwrap();
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.0.parent().unwrap());
    }
}

fn verifier(keys: RemoteJwksBuilder) -> TokenVerifier {
    let keys = keys.build().unwrap();
    let verifier = TokenVerifier::builder().remote_jwks(&keys).issuer(ISSUER);
    verifier.audience("api").build().unwrap()
}

async fn accepts(verifier: &TokenVerifier) {
    assert_eq!(verdict(verifier, &KEYRING[0].token).await, "ok");
}

#[tokio::test]
async fn certificates_and_the_bearer_token_are_read_from_files() {
    let (acceptor, root) = certificate();
    let (address, heads) = key_server(Some(acceptor)).await;
    let url = format!("https://localhost:{}/openid/v1/jwks", address.port());
    let (root, token) = (
        File::new("ca.crt", &root),
        File::new("token", "first.one\n"),
    );
    let fresh = || {
        verifier(
            RemoteJwks::builder(ISSUER)
                .jwks_uri(&url)
                .root_certificates_file(&root.0)
                .bearer_token_file(&token.0)
                .allow_private_network(),
        )
    };
    accepts(&fresh()).await;
    assert_eq!(heads.credentials(), [Some("Bearer first.one".to_owned())]);
    // The kubelet replaces the token before it expires.
    token.write("second.one");
    accepts(&fresh()).await;
    assert_eq!(heads.credentials(), [Some("Bearer second.one".to_owned())]);

    for (content, said) in [("", "one token alone"), ("a\nb", "one token alone")] {
        token.write(content);
        let verifier = fresh();
        assert_eq!(verdict(&verifier, &KEYRING[0].token).await, "503");
        let error = verifier.health().remove(0).last_error.unwrap();
        assert!(
            error.contains(said) && error.contains("bearer token"),
            "{error}"
        );
    }
    fs::remove_file(&token.0).unwrap();
    let verifier = fresh();
    assert_eq!(verdict(&verifier, &KEYRING[0].token).await, "503");
    let error = verifier.health().remove(0).last_error.unwrap();
    assert!(error.contains("cannot be read"), "{error}");
    assert_eq!(heads.take().len(), 0);
}

#[test]
fn a_missing_certificate_file_is_reported_with_its_path() {
    let keys = RemoteJwks::builder_at("https://idp.example/jwks");
    let error = keys.root_certificates_file("/no/such/ca.crt").build();
    let error = error.unwrap_err().to_string();
    assert!(error.contains("/no/such/ca.crt, cannot be read"), "{error}");
}

#[tokio::test]
async fn plain_http_is_used_only_for_a_named_host() {
    let (address, heads) = key_server(None).await;
    let url = format!("http://127.0.0.1:{}/jwks", address.port());
    let keys = || RemoteJwks::builder(ISSUER).jwks_uri(&url);
    accepts(&verifier(keys().dangerous_allow_http("127.0.0.1"))).await;
    assert_eq!(heads.credentials(), [None]);
    for keys in [keys(), keys().dangerous_allow_http("localhost")] {
        let error = keys.build().unwrap_err().to_string();
        assert!(error.contains("plain http"), "{error}");
    }
}

#[tokio::test]
async fn https_goes_through_the_proxy_as_a_tunnel() {
    let (acceptor, root) = certificate();
    let (address, heads) = key_server(Some(acceptor)).await;
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy_address = proxy.local_addr().unwrap();
    let tunnels = Heads::default();
    let told = tunnels.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = proxy.accept().await {
            let told = told.clone();
            tokio::spawn(async move {
                let head = read_head(&mut client).await;
                told.0.lock().unwrap().push(head);
                let mut server = TcpStream::connect(address).await.unwrap();
                let _ = client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    let client = HttpsClient::builder()
        .root_certificates(root)
        .no_system_certificates()
        .proxy(format!("http://user:secret@{proxy_address}"))
        .build()
        .unwrap();
    assert!(!format!("{client:?}").contains("secret"));
    // The name is unknown here: the proxy resolves it.
    let url = "https://localhost:1/jwks";
    accepts(&verifier(
        RemoteJwks::builder(ISSUER).jwks_uri(url).client(client),
    ))
    .await;
    assert_eq!(heads.take().len(), 1);
    let tunnels = tunnels.take();
    assert!(
        tunnels[0].starts_with("CONNECT localhost:1 HTTP/1.1\r\n"),
        "{tunnels:?}"
    );
    assert!(
        tunnels[0].contains("Proxy-Authorization: Basic dXNlcjpzZWNyZXQ="),
        "{tunnels:?}"
    );
}

#[tokio::test]
async fn a_bearer_token_goes_to_no_other_origin() {
    let (acceptor, root) = certificate();
    let (keys_at, heads) = key_server(Some(acceptor)).await;
    let jwks = format!("https://localhost:{}/jwks", keys_at.port());
    // The metadata is at its own origin, and refers to keys at another one.
    let metadata = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let home = format!("http://127.0.0.1:{}", metadata.local_addr().unwrap().port());
    let document = json!({"issuer": home, "jwks_uri": jwks}).to_string();
    let seen = Heads::default();
    let told = seen.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = metadata.accept().await {
            let head = read_head(&mut stream).await;
            told.0.lock().unwrap().push(head);
            let response = format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{document}",
                document.len()
            );
            let _ = stream.write_all(response.as_bytes()).await;
        }
    });
    let (root, token) = (
        File::new("root.crt", &root),
        File::new("bearer", "only-here"),
    );
    let keys = RemoteJwks::builder(&home)
        .allow_loopback()
        .allow_private_network()
        .allow_keys_from(format!("https://localhost:{}", keys_at.port()))
        .root_certificates_file(&root.0)
        .bearer_token_file(&token.0)
        .build()
        .unwrap();
    tokio::time::timeout(Duration::from_secs(60), keys.ready())
        .await
        .unwrap();
    assert_eq!(seen.credentials(), [Some("Bearer only-here".to_owned())]);
    assert_eq!(heads.credentials(), [None]);
}
