//! A Redis server that becomes a replica while its connections stay open.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode};
use tokio::net::TcpListener;

use crate::support::redis::Redis;
use crate::support::{Answer, PASSWORD, Place, Service};

/// Forwards each new connection to the current port, like a name that follows the primary.
async fn relay(to: Arc<AtomicU16>) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let to = (Ipv4Addr::LOCALHOST, to.load(Ordering::SeqCst));
            tokio::spawn(async move {
                if let Ok(mut server) = tokio::net::TcpStream::connect(to).await {
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                }
            });
        }
    });
    port
}

fn port(redis: &Redis) -> u16 {
    let url = redis.url();
    let port = url.trim_end_matches('/').rsplit(':').next().unwrap();
    port.parse().unwrap()
}

/// Sends commands, one on each line, and returns all responses.
fn tell(redis: &Redis, commands: &str) -> String {
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port(redis))).unwrap();
    let commands = format!("{}\r\nQUIT\r\n", commands.replace('\n', "\r\n"));
    connection.write_all(commands.as_bytes()).unwrap();
    let mut answers = String::new();
    connection.read_to_string(&mut answers).unwrap();
    let _ = connection.shutdown(Shutdown::Both);
    answers
}

/// Makes the server a replica, and waits until it has the data of its primary.
fn follow(redis: &Redis, primary: &Redis) {
    tell(redis, &format!("REPLICAOF 127.0.0.1 {}", port(primary)));
    let deadline = Instant::now() + Duration::from_secs(60);
    while !tell(redis, "INFO replication").contains("master_link_status:up") {
        assert!(
            Instant::now() < deadline,
            "the replica does not follow its primary"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

async fn ready(service: &Service) -> Answer {
    service.request(Method::GET, "/readyz", &[], "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demoted_redis_is_an_outage_until_its_name_moves() {
    let (Some(old), Some(new)) = (Redis::start(), Redis::start()) else {
        return;
    };
    follow(&new, &old);
    let to = Arc::new(AtomicU16::new(port(&old)));
    let url = format!("redis://127.0.0.1:{}/", relay(Arc::clone(&to)).await);
    let limited = |settings: &mut service::Settings| settings.rate_limit = NonZeroU32::new(1000);
    let service = Service::start_with(Place::sqlite().with_redis(url), limited).await;
    let tokens = service.user("ada@example.com").await;
    assert_eq!(ready(&service).await.status, StatusCode::OK);

    assert!(tell(&old, "SET written 1\nWAIT 1 0").contains(":1"));
    tell(&new, "REPLICAOF NO ONE");
    follow(&old, &new);
    for _ in 0..3 {
        let answer = ready(&service).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.json()["detail"], "Not ready: redis.");
        service.refresh(&tokens.refresh).await.assert_unavailable();
        let login = service.login("ada@example.com", PASSWORD).await;
        login.assert_unavailable();
        service.logout(&tokens.access).await.assert_unavailable();
    }

    to.store(port(&new), Ordering::SeqCst);
    let deadline = Instant::now() + Duration::from_secs(60);
    let refreshed = loop {
        let answer = service.refresh(&tokens.refresh).await;
        if answer.status == StatusCode::OK && ready(&service).await.status == StatusCode::OK {
            break answer.tokens();
        }
        if answer.status != StatusCode::OK {
            answer.assert_unavailable();
        }
        assert!(Instant::now() < deadline, "the service does not recover");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    service.assert_good(&refreshed).await;
    let tokens = service.login("ada@example.com", PASSWORD).await.tokens();
    service.logout(&tokens.access).await;
    service.assert_over(&tokens).await;

    // Rate limits are counted there as well, for all processes.
    let body = serde_json::json!({ "email": "nobody@example.com" });
    loop {
        for _ in 0..20 {
            service.post("/auth/email/resend", &body).await;
        }
        if tell(&new, "KEYS *:rate:*").contains("/auth/email/resend") {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "the processes do not share their counts"
        );
    }
}
