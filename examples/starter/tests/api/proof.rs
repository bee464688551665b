//! An address belongs to whoever proves it, and to nobody who was there before.

use std::sync::Arc;

use axum::http::Method; // chapter: second-factor
use axum::http::StatusCode;
use serde_json::{Value, json};
use service::{Claimant, Email, Proved};
use tower_jwt_auth::password::PasswordHash;

use super::login::BCRYPT;
use crate::support::factor::code; // chapter: second-factor
use crate::support::{Answer, PASSWORD, Service, Tokens, started};

const EMAIL: &str = "mira@example.com";
const ATTACKER: &str = "the attacker chose these words";
const OWNER: &str = "mira chose some other words";
const RESET: &str = "mira chose words once more";

/// Registers with this password. Returns the token of the link in the email with this number.
async fn register(service: &Service, password: &str, letter: usize) -> String {
    let account = json!({ "email": EMAIL, "password": password });
    let answer = service.post("/auth/register", &account).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    service.letter(EMAIL, letter).await.token("confirm-email")
}

async fn confirm(service: &Service, token: &str) -> Answer {
    let body = json!({ "token": token });
    service.post("/auth/email/verify", &body).await
}

async fn reset(service: &Service, letter: usize) -> Answer {
    let body = json!({ "email": EMAIL });
    service.post("/auth/password/forgot", &body).await;
    let token = service.letter(EMAIL, letter).await.token("reset-password");
    let body = json!({ "token": token, "new_password": RESET });
    service.post("/auth/password/reset", &body).await
}

fn assert_refused(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{:?}", answer.body);
    assert_eq!(answer.code(), "invalid_credentials");
}

async fn me(service: &Service, tokens: &Tokens) -> Value {
    service.get("/me", &tokens.access).await.json()
}

async fn count(service: &Service, query: &'static str) -> i64 {
    let mut database = service.database().await;
    let query = sqlx::query_scalar(query);
    query.fetch_one(&mut database).await.unwrap()
}

/// The subjects of the emails that [`set_up`] causes.
const NOTICES: &[&str] = &[
    "Your second factor was changed", // chapter: second-factor
];

/// Sets up what an attacker can with an unproved address: two sessions, an app, and an avatar.
async fn set_up(service: &Service) -> [Tokens; 2] {
    let mut database = service.database().await;
    let tokens = service.login(EMAIL, ATTACKER).await.tokens();
    // chapter: second-factor {
    let body = json!({ "current_password": ATTACKER });
    let path = "/auth/second-factor/totp";
    let enrolment = service.post_as(&tokens, path, &body).await.json();
    let body = json!({ "code": code(enrolment["secret"].as_str().unwrap()) });
    // chapter: second-factor }
    let other = service.login(EMAIL, ATTACKER).await.tokens();
    // chapter: second-factor {
    let path = "/auth/second-factor/totp/confirm";
    let added = service.post_as(&tokens, path, &body).await;
    assert_eq!(added.status, StatusCode::OK);
    // chapter: second-factor }
    // chapter: avatars {
    let png = include_bytes!("pixel.png").as_slice();
    let bearer = format!("Bearer {}", tokens.access);
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "image/png"),
    ];
    let put = service.request(axum::http::Method::PUT, "/me/avatar", &headers, png);
    assert_eq!(put.await.status, StatusCode::NO_CONTENT);
    // chapter: avatars }
    sqlx::query("UPDATE users SET scopes = 'admin'")
        .execute(&mut database)
        .await
        .unwrap();
    [tokens, other]
}

async fn assert_fresh(service: &Service, before: &[Tokens; 2], password: &str) {
    assert_refused(&service.login(EMAIL, ATTACKER).await);
    for tokens in before {
        service.assert_over(tokens).await;
    }
    let tokens = service.login(EMAIL, password).await.tokens();
    let me = me(service, &tokens).await;
    assert_ne!(me["sub"], before[0].claims()["sub"]);
    assert_eq!(me["scopes"], json!([]));
    assert_eq!(me["email_verified"], true);
    // chapter: avatars {
    let avatar = service.get("/me/avatar", &tokens.access).await;
    assert_eq!(avatar.status, StatusCode::NOT_FOUND);
    let old = before[0].claims()["sub"].as_str().unwrap().to_owned();
    let kept = service.place.folder.path().join("storage/avatars");
    assert!(!kept.join(old).exists());
    // chapter: avatars }
    // chapter: second-factor {
    let factor = service.get("/auth/second-factor", &tokens.access).await;
    let nothing = json!({ "methods": [], "recovery_codes_left": 0 });
    assert_eq!(factor.json(), nothing);
    // chapter: second-factor }
    assert_eq!(service.sessions(&tokens.access).await.len(), 1);
    for table in [
        "SELECT count(*) FROM second_factors", // chapter: second-factor
        "SELECT count(*) FROM recovery_codes", // chapter: second-factor
        "SELECT count(*) FROM login_challenges", // chapter: second-factor
        "SELECT count(*) FROM one_time_tokens",
    ] {
        assert_eq!(count(service, table).await, 0, "{table}");
    }
    assert_eq!(service.app.users().count().await.unwrap(), 1);
}

#[tokio::test]
async fn the_owners_link_activates_the_owners_password() {
    for required in [true, false] {
        let service = started!(with | settings | settings.require_verified_email = required);
        let attackers = register(&service, ATTACKER, 1).await;
        let owners = register(&service, OWNER, 2).await;
        let answer = confirm(&service, &owners).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
        assert_refused(&service.login(EMAIL, ATTACKER).await);
        service.login(EMAIL, OWNER).await.tokens();
        assert_eq!(confirm(&service, &attackers).await.code(), "invalid_link");
        service.login(EMAIL, OWNER).await.tokens();
        assert_refused(&service.login(EMAIL, PASSWORD).await);
    }
}

#[tokio::test]
async fn a_confirmation_removes_everything_set_up_before() {
    let service = started!();
    let attackers = register(&service, ATTACKER, 1).await;
    let before = set_up(&service).await;
    service.letter(EMAIL, 1 + NOTICES.len()).await;
    let owners = register(&service, OWNER, 2 + NOTICES.len()).await;
    let answer = confirm(&service, &owners).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    // Not even the places that logins came from are known any more.
    let known = "SELECT count(*) FROM login_failures";
    assert_eq!(count(&service, known).await, 0);
    assert_fresh(&service, &before, OWNER).await;
    assert_eq!(confirm(&service, &attackers).await.code(), "invalid_link");
}

/// The owner finds an account with the address, and asks for a new password.
#[tokio::test]
async fn a_reset_that_proves_the_address_removes_everything_before() {
    let service = started!();
    let attackers = register(&service, ATTACKER, 1).await;
    let before = set_up(&service).await;
    service.letter(EMAIL, 1 + NOTICES.len()).await;
    let answer = reset(&service, 2 + NOTICES.len()).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_fresh(&service, &before, RESET).await;
    assert_eq!(confirm(&service, &attackers).await.code(), "invalid_link");
}

/// Called as a team would that adds logins at providers and changes of the address.
#[tokio::test]
async fn every_other_proof_follows_the_same_rule() {
    let service = started!();
    let accounts = service.app.accounts();
    let email = Email::parse(EMAIL).unwrap();
    let attackers = register(&service, ATTACKER, 1).await;
    let before = set_up(&service).await;
    let proved = accounts.prove(&email, Claimant::WithoutPassword).await;
    let Ok(Proved::First(user)) = proved else {
        panic!("expected the first proof");
    };
    assert_refused(&service.login(EMAIL, "!").await);
    assert_refused(&service.login(EMAIL, ATTACKER).await);
    service.assert_over(&before[0]).await;
    assert_eq!(confirm(&service, &attackers).await.code(), "invalid_link");

    // The second proof changes nothing.
    let hash = PasswordHash::parse(BCRYPT).unwrap();
    let proved = accounts.prove(&email, Claimant::WithPassword(hash)).await;
    let Ok(Proved::Already(same)) = proved else {
        panic!("expected an address that was proved before");
    };
    assert_eq!((same.id, same.password_hash), (user.id, "!".to_owned()));

    // Somebody else changes to an address that an attacker has registered.
    let ada = service.proved_user("ada@example.com").await;
    let id = me(&service, &ada).await["sub"].as_str().unwrap().to_owned();
    let eve = service.user("eve@example.com").await;
    let eves = Email::parse("eve@example.com").unwrap();
    let proved = accounts.prove(&eves, Claimant::User(id.clone())).await;
    assert!(matches!(proved, Ok(Proved::First(user)) if user.id == id));
    service.assert_over(&eve).await;
    assert_eq!(me(&service, &ada).await["email"], "eve@example.com");
    assert_eq!(me(&service, &ada).await["email_verified"], true);
    // But not to an address that belongs to somebody.
    let proved = accounts.prove(&email, Claimant::User(id.clone())).await;
    assert!(matches!(proved, Ok(Proved::Already(user)) if user.id != id));
    assert_eq!(me(&service, &ada).await["email"], "eve@example.com");
    let proved = accounts.prove(&eves, Claimant::User("nobody".to_owned()));
    assert!(matches!(proved.await, Ok(Proved::Already(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_concurrent_links_one_wins() {
    let service = Arc::new(started!());
    let mut links = Vec::new();
    for number in 1..=4 {
        let password = format!("{OWNER} {number}");
        let link = register(&service, &password, number).await;
        links.push((link, password));
    }
    // Each of them several times.
    let racers: Vec<_> = links
        .iter()
        .cycle()
        .take(12)
        .map(|(link, password)| {
            let (service, link, password) = (service.clone(), link.clone(), password.clone());
            tokio::spawn(async move { (confirm(&service, &link).await, password) })
        })
        .collect();
    let mut winners = Vec::new();
    for racer in racers {
        let (answer, password) = racer.await.unwrap();
        if answer.status == StatusCode::NO_CONTENT {
            winners.push(password);
        } else {
            assert_eq!(answer.code(), "invalid_link", "{:?}", answer.body);
        }
    }
    // The winning link gets the same response each time it is used.
    assert_eq!(winners.len(), 3, "{winners:?}");
    assert!(winners.iter().all(|password| *password == winners[0]));
    for (_, password) in &links {
        let answer = service.login(EMAIL, password).await;
        assert_eq!(answer.status == StatusCode::OK, *password == winners[0]);
    }
    assert_eq!(service.app.users().count().await.unwrap(), 1);
    let open = "SELECT count(*) FROM registrations WHERE user_id IS NULL";
    assert_eq!(count(&service, open).await, 0);
}

// chapter: second-factor {
#[tokio::test(flavor = "multi_thread")]
async fn what_races_with_the_first_proof_leaves_nothing_behind() {
    let service = Arc::new(started!());
    register(&service, ATTACKER, 1).await;
    let there = service.login(EMAIL, ATTACKER).await.tokens();
    let owners = register(&service, OWNER, 2).await;
    let mut logins = Vec::new();
    for _ in 0..8 {
        let service = service.clone();
        logins.push(tokio::spawn(
            async move { service.login(EMAIL, ATTACKER).await },
        ));
    }
    let access = there.access.clone();
    let enrolments: Vec<_> = (0..4)
        .map(|_| {
            let (service, access) = (service.clone(), access.clone());
            tokio::spawn(async move {
                let body = json!({ "current_password": ATTACKER });
                let path = "/auth/second-factor/totp";
                let answer = service.send_json(Method::POST, path, &access, &body).await;
                if answer.status != StatusCode::OK {
                    return;
                }
                let secret = answer.json()["secret"].as_str().unwrap().to_owned();
                let body = json!({ "code": code(&secret) });
                let path = "/auth/second-factor/totp/confirm";
                service.send_json(Method::POST, path, &access, &body).await;
            })
        })
        .collect();
    let answer = confirm(&service, &owners).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    service.assert_over(&there).await;
    for enrolment in enrolments {
        enrolment.await.unwrap();
    }
    for login in logins {
        let answer = login.await.unwrap();
        if answer.status == StatusCode::OK && answer.json().get("access_token").is_some() {
            service.assert_over(&answer.tokens()).await;
        }
    }
    service.login(EMAIL, OWNER).await.tokens();
    let factors = "SELECT count(*) FROM second_factors";
    assert_eq!(count(&service, factors).await, 0);
}
// chapter: second-factor }

#[tokio::test]
async fn a_dropped_confirmation_leaves_nothing_half_done() {
    let service = started!();
    register(&service, ATTACKER, 1).await;
    let there = service.login(EMAIL, ATTACKER).await.tokens();
    let owners = register(&service, OWNER, 2).await;
    for wait in [0, 1, 2, 5, 20] {
        let wait = std::time::Duration::from_millis(wait);
        let _ = tokio::time::timeout(wait, confirm(&service, &owners)).await;
    }
    let answer = confirm(&service, &owners).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    service.assert_over(&there).await;
    service.login(EMAIL, OWNER).await.tokens();
    assert_eq!(service.app.users().count().await.unwrap(), 1);
}

#[tokio::test]
async fn registering_again_does_not_bypass_a_disabled_account() {
    let service = started!();
    let first = register(&service, ATTACKER, 1).await;
    let disable = "UPDATE users SET disabled = TRUE";
    sqlx::query(disable)
        .execute(&mut service.database().await)
        .await
        .unwrap();
    let account = json!({ "email": EMAIL, "password": OWNER });
    service.post("/auth/register", &account).await;
    service
        .post("/auth/password/forgot", &json!({ "email": EMAIL }))
        .await;
    assert_eq!(confirm(&service, &first).await.code(), "invalid_link");
    assert_refused(&service.login(EMAIL, ATTACKER).await);
    assert_refused(&service.login(EMAIL, OWNER).await);
    let open = "SELECT count(*) FROM registrations";
    assert_eq!(count(&service, open).await, 1);
}

#[tokio::test]
async fn registrations_of_an_address_are_limited_and_expire() {
    let service = started!(with | settings | settings.require_verified_email = true);
    let link = register(&service, OWNER, 1).await;
    let account = json!({ "email": EMAIL, "password": ATTACKER });
    for _ in 0..10 {
        service.post("/auth/register", &account).await;
    }
    let open = "SELECT count(*) FROM registrations";
    assert_eq!(count(&service, open).await, 5);
    let late = "UPDATE registrations SET created_at = created_at - 100000, \
                expires_at = expires_at - 100000";
    sqlx::query(late)
        .execute(&mut service.database().await)
        .await
        .unwrap();
    assert_eq!(confirm(&service, &link).await.code(), "invalid_link");
    // Without an open registration and without an account, a reset sends no email.
    service
        .post("/auth/password/forgot", &json!({ "email": EMAIL }))
        .await;
    let service = Service::start_in(service.stop().await).await;
    for _ in 0..1000 {
        if count(&service, open).await == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(count(&service, open).await, 0);
    let links = "SELECT count(*) FROM registration_links";
    assert_eq!(count(&service, links).await, 0);
    assert_eq!(service.app.users().count().await.unwrap(), 0);
}
