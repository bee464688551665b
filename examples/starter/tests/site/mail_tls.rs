//! Emails to a mail server with and without TLS, sent by the program. `0.0.0.0` leads to this machine, but
//! counts as another one.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::support::program::{Running, service};
use crate::support::tls_mail_server::{Mode, TlsMailServer};
use crate::support::{Client, Folder};

/// Returns what the server receives and the service logs when a user registers. The service then stops, and
/// tries once more to send what is waiting.
async fn registered(server: &TlsMailServer, variables: &[(&str, &str)]) -> (Vec<Value>, String) {
    let folder = Folder::new("mail-tls");
    let mut command = service(folder.path());
    command.envs(variables.iter().copied());
    let running = Running::start(command);
    let client = Client::new(running.socket());
    let answer = client.register("ada@example.com").await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    let log = tokio::task::spawn_blocking(|| running.stop())
        .await
        .unwrap();
    assert!(!log.contains("hunter2"), "{log}");
    (server.kept(), log)
}

/// Takes a server, and the settings of the service, in which `PORT` stands for its port.
macro_rules! registered {
    ($mode:expr, $url:literal $(, $name:literal = $value:literal)*) => {{
        let Some(server) = TlsMailServer::start($mode) else {
            return;
        };
        let url = $url.replace("PORT", &server.port().to_string());
        registered(&server, &[("SMTP_URL", url.as_str()) $(, ($name, $value))*]).await
    }};
    (trusted $mode:expr, $url:literal) => {{
        let Some(server) = TlsMailServer::start($mode) else {
            return;
        };
        let url = $url.replace("PORT", &server.port().to_string());
        let certificate = server.certificate();
        let variables = [
            ("SMTP_URL", url.as_str()),
            ("SSL_CERT_FILE", certificate.to_str().unwrap()),
        ];
        registered(&server, &variables).await
    }};
}

fn by(tls: bool, user: Option<&str>) -> Vec<Value> {
    vec![json!({ "tls": tls, "user": user, "to": "ada@example.com" })]
}

#[tokio::test]
async fn the_mail_password_is_sent_over_starttls() {
    let (kept, log) = registered!(trusted Mode::Login, "smtp://user:hunter2@0.0.0.0:PORT");
    assert_eq!(kept, by(true, Some("user")), "{log}");
}

#[tokio::test]
async fn starttls_can_be_required_on_this_machine() {
    let (kept, log) = registered!(trusted Mode::StartTls, "smtp://127.0.0.1:PORT?tls=required");
    assert_eq!(kept, by(true, None), "{log}");
}

#[tokio::test]
async fn tls_from_the_start_is_smtps() {
    let (kept, log) = registered!(trusted Mode::Smtps, "smtps://0.0.0.0:PORT");
    assert_eq!(kept, by(true, None), "{log}");
}

#[tokio::test]
async fn a_server_on_this_machine_may_go_without_tls() {
    let (kept, log) = registered!(Mode::Plain, "smtp://127.0.0.1:PORT");
    assert_eq!(kept, by(false, None), "{log}");
}

#[tokio::test]
async fn a_remote_server_without_starttls_gets_nothing() {
    let (kept, log) = registered!(Mode::Plain, "smtp://0.0.0.0:PORT");
    assert_eq!(kept, [] as [Value; 0]);
    assert!(log.contains("STARTTLS is required"), "{log}");
    assert!(log.contains("DANGEROUS_WITHOUT_TLS=SMTP_URL"), "{log}");
}

#[tokio::test]
async fn a_remote_server_may_be_exempted_from_tls() {
    let (kept, log) = registered!(
        Mode::Plain,
        "smtp://0.0.0.0:PORT",
        "DANGEROUS_WITHOUT_TLS" = "SMTP_URL"
    );
    assert_eq!(kept, by(false, None), "{log}");
}

#[tokio::test]
async fn the_log_explains_a_server_that_requires_starttls() {
    let (kept, log) = registered!(Mode::StartTls, "smtp://127.0.0.1:PORT");
    assert_eq!(kept, [] as [Value; 0]);
    assert!(log.contains("(530)"), "{log}");
    assert!(log.contains("?tls=required"), "{log}");
}

#[tokio::test]
async fn the_log_explains_a_server_that_requires_a_login() {
    let (kept, log) = registered!(trusted Mode::Login, "smtp://0.0.0.0:PORT");
    assert_eq!(kept, [] as [Value; 0]);
    assert!(log.contains("smtps://user:password@host"), "{log}");
}

#[tokio::test]
async fn the_log_explains_a_wrong_mail_password() {
    let (kept, log) = registered!(trusted Mode::Login, "smtp://user:hunter22@0.0.0.0:PORT");
    assert_eq!(kept, [] as [Value; 0]);
    assert!(log.contains("the user or password in SMTP_URL"), "{log}");
}

#[tokio::test]
async fn the_log_explains_an_unknown_certificate() {
    let (kept, log) = registered!(Mode::StartTls, "smtp://0.0.0.0:PORT");
    assert_eq!(kept, [] as [Value; 0]);
    assert!(log.contains("SSL_CERT_FILE"), "{log}");
}

#[tokio::test]
async fn the_log_explains_the_wrong_kind_of_tls() {
    let (kept, log) = registered!(Mode::StartTls, "smtps://0.0.0.0:PORT");
    assert_eq!(kept, [] as [Value; 0]);
    assert!(log.contains("use port 465 with smtps://"), "{log}");
}
