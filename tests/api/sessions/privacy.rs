//! Logs and `Debug` show neither subjects nor session ids nor tokens.

use std::sync::{Arc, Mutex};

use tower_jwt_auth::revocation::Revocation;
use tower_jwt_auth::sessions::{EndReason, EndSessions, EndedSession, Rotation, SessionTarget};

use super::{claims, setting_with, sid};

#[tokio::test]
async fn debug_of_sessions_shows_no_subject_no_id_and_no_token() {
    let told = Arc::new(Mutex::new(String::new()));
    let events = Arc::clone(&told);
    let setting = setting_with(
        |it| it,
        |it| it.on_event(move |event| events.lock().unwrap().push_str(&format!("{event:?}\n"))),
    );
    let open = setting.sessions.open("alice@example.com").label("laptop");
    let open = open.claim("secret", "of the payload");
    let mut shown = format!("{open:?}");
    let login = open.issue().await.unwrap();
    let id = sid(&login);
    let refresh = setting
        .sessions
        .refresh(&login.refresh_token)
        .await
        .unwrap();
    shown += &format!("{refresh:?} {:?}", setting.sessions);
    let refreshed = refresh.issue().await.unwrap();
    shown += &format!("{refreshed:?}");
    let record = setting.store.record(&id).await;
    let subject = record.subject.as_str();
    let target = SessionTarget::SessionOf {
        session: &id,
        subject,
    };
    let until = std::time::UNIX_EPOCH;
    shown += &format!(
        "{record:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        setting.sessions.list(subject).await.unwrap(),
        Rotation::new(&id, 1, &record.token_id, 1),
        EndSessions::new(target, EndReason::Revoked, 1),
        EndedSession::new(&id, subject, 1),
        Revocation::session(Some("me"), &id, until),
        Revocation::subject(Some("me"), subject, until, until),
    );
    setting.sessions.end_all(subject).await.unwrap();
    shown += &told.lock().unwrap();

    let token_id = claims(&login.access_token)["jti"].to_string();
    let token_id = token_id.trim_matches('"');
    for secret in [
        "alice@example.com",
        id.as_str(),
        token_id,
        record.token_id.as_str(),
        login.access_token.as_str(),
        login.refresh_token.as_str(),
        "of the payload",
    ] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    assert!(shown.contains("session_ended"), "{shown}");
}

#[tokio::test]
async fn a_digest_finds_the_lines_of_one_session() {
    let digests = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&digests);
    let setting = setting_with(
        |it| it,
        |it| it.on_event(move |event| told.lock().unwrap().push(event.session_digest())),
    );
    let login = setting.login().await;
    setting.sessions.end(&sid(&login)).await.unwrap();
    setting.login().await;
    let digests = digests.lock().unwrap();
    assert_eq!(digests.len(), 3);
    assert_eq!(digests[0], digests[1]);
    assert_ne!(digests[0], digests[2]);
    assert_eq!(digests[0].len(), 13);
}
