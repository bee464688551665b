//! API keys on the page.

use axum::http::StatusCode;
use fantoccini::key::Key;
use serde_json::json;

use super::account::EMAIL; // chapter: admin
use super::account::{SCREENS, at_the_account, enter, hides, look_at};
use crate::support::PASSWORD;

#[tokio::test(flavor = "multi_thread")]
async fn a_person_creates_and_revokes_an_api_key() {
    for (name, width, dark) in SCREENS {
        let Some((service, browser)) = at_the_account(width, dark).await else {
            return;
        };
        // chapter: admin {
        let email = service::Email::parse(EMAIL).unwrap();
        let granted = service.app.users().grant(&email, service::ADMIN_SCOPE);
        assert!(granted.await.unwrap());
        // chapter: admin }
        browser.page.refresh().await.unwrap();
        browser.says("#keys-hint", "no API keys yet").await;
        // By keyboard alone.
        browser
            .script("document.getElementById('keys-add').focus()", &[])
            .await;
        browser.type_in(&enter()).await;
        browser.shows("#keys-label").await;
        let tab = String::from(char::from(Key::Tab));
        browser.type_in("Nightly <b>backup</b>").await;
        browser.type_in(&tab).await;
        browser.type_in(&tab).await;
        // chapter: admin {
        browser.type_in(" ").await;
        browser.type_in(&tab).await;
        // chapter: admin }
        browser.type_in(&format!("wrong{}", enter())).await;
        browser.says("#keys-notice", "not your password").await;
        look_at(&browser, "keys-title", &format!("{name}-key-form")).await;
        browser.set("#keys-password", PASSWORD).await;
        browser.type_in(&enter()).await;
        browser.shows("#keys-text").await;
        let key = browser.text("#keys-text").await;
        look_at(&browser, "keys-title", &format!("{name}-key-new")).await;
        let me = service.get("/me", &key).await;
        assert_eq!(me.status, StatusCode::OK, "{:?}", me.body);
        assert_eq!(me.json()["scopes"], json!(["admin"])); // chapter: admin

        browser.click("#keys-done").await;
        hides(&browser, "keys-text").await;
        let left = "return document.documentElement.innerHTML.includes(arguments[0])";
        assert_eq!(browser.script(left, &[json!(key)]).await, json!(false));
        browser.says("#keys", "Nightly <b>backup</b>").await;
        browser.says("#keys", "valid until").await;
        look_at(&browser, "keys-title", &format!("{name}-keys")).await;
        browser.click("#keys button").await;
        browser.says("#keys-notice", "is revoked").await;
        browser.says("#keys-hint", "no API keys yet").await;
        service.get("/me", &key).await.assert_invalid_token();
        browser.close().await;
    }
}
