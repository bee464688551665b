//! Changing the password on the page.

use fantoccini::key::Key;

use crate::browser::{Browser, address, register};
use crate::start;
use crate::support::PASSWORD;

#[tokio::test(flavor = "multi_thread")]
async fn a_person_changes_the_password() {
    let service = start(Default::default()).await;
    let Some(browser) = Browser::open(&address(&service), 1200, false).await else {
        return;
    };
    let enter = String::from(char::from(Key::Enter));
    register(&browser, "ada@example.com").await;
    let elsewhere = service.login("ada@example.com", PASSWORD).await.tokens();
    let new = "another stapled battery horse";
    browser.set("#old-password", "wrong").await;
    browser.set("#changed-password", new).await;
    browser.type_in(&enter).await;
    browser.says("#change-notice", "not your password").await;
    browser.set("#old-password", PASSWORD).await;
    browser.type_in(&enter).await;
    browser.says("#change-notice", "is changed").await;
    service.assert_over(&elsewhere).await;
    service.login("ada@example.com", new).await.tokens();
    browser.click("#call-me").await;
    browser.says("#answer", "200 – it worked").await;
    browser.close().await;
}
