//! Passkeys in a browser, with a device that unlocks itself (WebAuthn Level 3 section 11).

use fantoccini::key::Key;

use crate::browser::{Browser, log_in, register};
use crate::support::{PASSWORD, Place, Service};

const EMAIL: &str = "ada@example.com";

/// Starts a service as on a developer's machine, and opens its page.
async fn open(width: u32, dark: bool) -> Option<(Service, Browser)> {
    let service = Service::start_with(Place::sqlite(), |settings| {
        settings.mail.public_url = "http://localhost:3000".to_owned();
    })
    .await;
    let address = format!("http://localhost:{}/", service.address().port());
    let browser = Browser::open(&address, width, dark).await?;
    Some((service, browser))
}

async fn enter(browser: &Browser, selector: &str, text: &str) {
    browser.set(selector, text).await;
    browser.type_in(&String::from(char::from(Key::Enter))).await;
}

async fn log_out(browser: &Browser) {
    browser.click("#logout").await;
    browser
        .says("#entry-notice", "You are logged out here")
        .await;
    let script = "document.querySelector('[value=login]').click()";
    browser.script(script, &[]).await;
    browser.shows("#passkey-login").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_logs_in_with_a_passkey_and_manages_it() {
    for (name, width, dark) in [("wide", 1200, false), ("phone", 375, true)] {
        let Some((_service, browser)) = open(width, dark).await else {
            return;
        };
        let device = browser.add_authenticator().await;
        let picture = |step: &str| format!("passkeys-{name}-{step}");
        register(&browser, EMAIL).await;

        // Adding a passkey asks for the password.
        browser.click("#add-passkey").await;
        enter(&browser, "#passkey-password", "wrong").await;
        browser.says("#passkeys-notice", "not your password").await;
        browser.set("#passkey-label", "My laptop").await;
        enter(&browser, "#passkey-password", PASSWORD).await;
        browser.says("#passkeys-notice", "is added").await;
        browser.says("#passkey-list", "My laptop").await;
        browser.assert_fits().await;
        browser.picture(&picture("added")).await;
        // The device already has one.
        browser.click("#add-passkey").await;
        browser.assert_fits().await;
        browser.picture(&picture("form")).await;
        enter(&browser, "#passkey-password", PASSWORD).await;
        browser
            .says("#passkeys-notice", "already has a passkey for your account")
            .await;
        browser.click("#passkey-cancel").await;

        browser.click("#passkey-list button").await;
        enter(&browser, "#passkey-label", "Ada\u{2019}s laptop").await;
        browser.says("#passkey-list", "Ada\u{2019}s laptop").await;

        // The passkey alone is enough.
        log_out(&browser).await;
        browser.assert_fits().await;
        browser.picture(&picture("login")).await;
        browser.unlocks(&device, false).await;
        browser.click("#passkey-login").await;
        browser.says("#entry-notice", "No passkey was used").await;
        browser.unlocks(&device, true).await;
        browser.click("#passkey-login").await;
        browser.is_logged_in(EMAIL).await;
        browser.says("#claims", "mfa").await;
        browser.says("#sessions", "Bound to this browser").await;
        browser.says("#passkey-list", "last used").await;

        // chapter: second-factor {
        // As a second factor, after the password.
        browser.picture(&picture("logged-in")).await;
        browser.click("#passkey-factor").await;
        enter(&browser, "#passkey-password", PASSWORD).await;
        browser.shows("#recovery-codes li").await;
        browser.picture(&picture("codes")).await;
        browser.click("#recovery-done").await;
        browser.says("#factor-state", "your passkey").await;
        browser.assert_fits().await;
        browser.picture(&picture("factor")).await;
        log_out(&browser).await;
        browser.set("#email", EMAIL).await;
        enter(&browser, "#password", PASSWORD).await;
        browser.shows("#second-passkey").await;
        browser.assert_fits().await;
        browser.picture(&picture("second")).await;
        // The focus is on the button.
        browser.type_in(&String::from(char::from(Key::Enter))).await;
        browser.is_logged_in(EMAIL).await;
        browser.says("#sessions", "Bound to this browser").await;

        // It cannot be removed while it is needed.
        browser.says("#passkey-list", "Remove").await;
        browser.click("#passkey-list .danger").await;
        browser.shows("#passkey-proof").await;
        browser.click("#passkey-proof").await;
        browser
            .says("#passkeys-notice", "Turn the second factor off first")
            .await;
        browser.click("#passkey-cancel").await;
        browser.click("#remove-factor").await;
        browser.choose("#remove-method", "passkey").await;
        browser.set("#factor-password", PASSWORD).await;
        browser.shows("#factor-passkey").await;
        browser.picture(&picture("off")).await;
        browser.click("#factor-passkey").await;
        browser.says("#factor-notice", "The password alone").await;
        // chapter: second-factor }

        browser.click("#passkey-list .danger").await;
        browser.click("#passkey-proof").await;
        browser
            .says("#passkeys-notice", "not accepted any more")
            .await;
        browser.picture(&picture("removed")).await;
        log_out(&browser).await;
        browser.click("#passkey-login").await;
        browser.says("#entry-notice", "not registered here").await;
        log_in(&browser, EMAIL).await;
        browser.close().await;
    }
}
