//! The page, in the hands of a person.

mod account;
mod api_keys; // chapter: api-keys
mod avatar; // chapter: avatars
mod bound_tokens;
mod login;
mod passkeys; // chapter: passkeys
mod second_factor; // chapter: second-factor
mod settings;
mod social_login; // chapter: social-login

use serde_json::json;

use crate::browser::{Browser, address, register};
use crate::start;
use crate::support::PASSWORD;

#[tokio::test(flavor = "multi_thread")]
async fn a_person_registers_uses_the_page_and_logs_out() {
    let service = start(Default::default()).await;
    let Some(browser) = Browser::open(&address(&service), 1200, false).await else {
        return;
    };
    browser.says("h1", "in safe hands").await;
    browser.picture("welcome").await;
    register(&browser, "ada@example.com").await;
    browser.says("#claims", "ada@example.com").await;
    browser.says("#left", ":").await;
    browser.says("#sessions", "This session").await;
    browser.picture("account").await;

    // No script can read the cookie, and nothing else is stored.
    let stored = "return document.cookie + JSON.stringify([localStorage, sessionStorage])";
    assert_eq!(browser.script(stored, &[]).await, json!("[{},{}]"));
    let cookie = browser
        .page
        .get_named_cookie("__Host-refresh")
        .await
        .unwrap();
    assert_eq!(
        (cookie.http_only(), cookie.secure()),
        (Some(true), Some(true))
    );
    assert_eq!(cookie.path(), Some("/"));

    browser.click("#call-me").await;
    browser.says("#answer", "200 – it worked").await;
    browser.click("#call-admin").await;
    browser.says("#answer", "needs the scope “admin”").await;
    browser.picture("admin").await;
    browser.click("#refresh").await;
    browser.says("#notice", "a new access token").await;
    let after = browser
        .page
        .get_named_cookie("__Host-refresh")
        .await
        .unwrap();
    assert_ne!(after.value(), cookie.value());

    // A session on another device is ended from here.
    let other = service.login("ada@example.com", PASSWORD).await.tokens();
    browser.page.refresh().await.unwrap();
    browser.says("#sessions", "Unknown device").await;
    browser.click("#sessions button").await;
    browser.says("#notice", "That session has ended").await;
    service.assert_over(&other).await;

    browser.click("#logout").await;
    browser
        .says("#entry-notice", "You are logged out here")
        .await;
    browser.page.refresh().await.unwrap();
    browser.says("h1", "in safe hands").await;

    // Errors are shown in words, and the page works again afterwards.
    browser
        .seen("#email")
        .await
        .send_keys("ada@example.com")
        .await
        .unwrap();
    browser
        .seen("#password")
        .await
        .send_keys("wrong")
        .await
        .unwrap();
    browser.click("[type=submit]").await;
    browser
        .says("#entry-notice", "Wrong email address or password")
        .await;
    browser.picture("wrong").await;
    browser.seen("#password").await.clear().await.unwrap();
    browser
        .seen("#password")
        .await
        .send_keys(PASSWORD)
        .await
        .unwrap();
    browser.click("[type=submit]").await;
    browser.is_logged_in("ada@example.com").await;

    // The session is ended elsewhere while the page is open.
    let elsewhere = service.login("ada@example.com", PASSWORD).await.tokens();
    service
        .send(
            axum::http::Method::POST,
            "/auth/logout-all",
            &elsewhere.access,
        )
        .await;
    browser.click("#call-me").await;
    browser.says("#entry-notice", "log in again").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_fits_a_phone_and_dark_mode() {
    let service = start(Default::default()).await;
    for (name, width, dark) in [
        ("phone", 375, false),
        ("narrow", 320, true),
        ("dark", 1200, true),
    ] {
        let Some(browser) = Browser::open(&address(&service), width, dark).await else {
            return;
        };
        browser.says("h1", "in safe hands").await;
        browser.assert_fits().await;
        browser.picture(&format!("{name}-welcome")).await;
        let ground = "return getComputedStyle(document.body).backgroundColor";
        let expected = if dark {
            "rgb(21, 24, 26)"
        } else {
            "rgb(246, 244, 239)"
        };
        assert_eq!(browser.script(ground, &[]).await, json!(expected));
        register(
            &browser,
            &format!("grace.brewster.murray.hopper.{name}@navy.example.com"),
        )
        .await;
        browser.says("#sessions", "This session").await;
        browser.assert_fits().await;
        browser.picture(&format!("{name}-account")).await;
        // chapter: second-factor {
        browser.click("#add-totp").await;
        browser.set("#factor-password", PASSWORD).await;
        let enter = char::from(fantoccini::key::Key::Enter);
        browser.type_in(&String::from(enter)).await;
        browser.shows("#qr path").await;
        browser.assert_fits().await;
        browser.picture(&format!("{name}-factor")).await;
        // chapter: second-factor }
        browser.close().await;
    }
}

/// Nothing that a page needs is blocked by its policy.
#[tokio::test(flavor = "multi_thread")]
async fn the_api_documentation_works_under_its_policy() {
    let service = start(Default::default()).await;
    let address = format!("{}docs/", address(&service));
    let Some(browser) = Browser::open(&address, 1200, false).await else {
        return;
    };
    browser.says("#swagger-ui", "/auth/login").await;
    browser.picture("docs").await;
    browser.close().await;
}
