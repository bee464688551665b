//! Whether a load balancer should send requests to the service.

use std::fs;
use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode};

use crate::start;
use crate::support::program::{PROGRAM, Running, clean};
use crate::support::server::missing;
use crate::support::{Client, Folder};

#[tokio::test]
async fn a_service_without_its_database_is_alive_and_not_ready() {
    let service = start(Default::default()).await;
    service.app.close().await;
    let answer = service.request(Method::GET, "/readyz", &[], "").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.code(), "not_ready");
    assert_eq!(answer.json()["detail"], "Not ready: database.");
    let answer = service.request(Method::GET, "/healthz", &[], "").await;
    assert_eq!(answer.status, StatusCode::OK);
}

/// Uses a disk of its own with 4 MiB, which is filled and emptied again.
#[tokio::test]
async fn a_service_whose_disk_is_full_is_not_ready() {
    let folder = Folder::new("full-disk");
    let mount = "mkdir -p disk && mount -t tmpfs -o size=4m tmpfs disk";
    let tried = clean("unshare", folder.path())
        .args(["-rm", "sh", "-c", mount])
        .status();
    if !tried.is_ok_and(|status| status.success()) {
        return missing("the right to mount a disk (unshare)");
    }
    let script = format!(
        r#"
        {mount} || exit 1
        while kill -0 $$; do
            if [ -e fill ]; then dd if=/dev/zero of=disk/filler bs=4k; fi
            if [ -e free ]; then rm -f fill disk/filler; fi
            sleep 0.05
        done >/dev/null 2>&1 &
        exec "$0"
        "#
    );
    let mut command = clean("unshare", folder.path());
    command.args(["-rm", "sh", "-c", &script, PROGRAM]);
    command.env("DATABASE_URL", "sqlite:disk/service.sqlite");
    let running = Running::start(command);
    let client = Client::new(running.socket());
    let deadline = Instant::now() + Duration::from_secs(60);
    let becomes = async |status: StatusCode| {
        loop {
            let answer = client.request(Method::GET, "/readyz", &[], "").await;
            if answer.status == status {
                return answer;
            }
            assert!(Instant::now() < deadline, "never {status}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    becomes(StatusCode::OK).await;
    fs::write(folder.path().join("fill"), "").unwrap();
    let answer = becomes(StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(answer.json()["detail"], "Not ready: database.");
    fs::write(folder.path().join("free"), "").unwrap();
    becomes(StatusCode::OK).await;
    let log = tokio::task::spawn_blocking(|| running.stop())
        .await
        .unwrap();
    assert!(log.contains("not ready"), "{log}");
}
