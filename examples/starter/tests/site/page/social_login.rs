//! A person logs in at a provider, npm `oidc-provider`, which is another site for the browser.

use std::net::TcpListener;

use fantoccini::key::Key;
use serde_json::json;

use crate::browser::{Browser, WAIT, address, log_in, shown};
use crate::support::social_login::OidcProvider;
use crate::support::{PASSWORD, Place, Service};

const EMAIL: &str = "ada@example.com";

/// Starts a service at an address to which providers can send browsers back.
async fn start() -> Option<(Service, OidcProvider)> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("http://{address}");
    let provider = OidcProvider::start(&format!("{url}/auth/login/real/callback"))?;
    let service = Service::start_with(Place::sqlite(), |settings| {
        settings.bind_address = address.to_string();
        settings.mail.public_url = url;
        settings.login_providers = vec![provider.settings()];
    });
    Some((service.await, provider))
}

/// Goes to the provider, and answers its form.
async fn at_the_provider(browser: &Browser, login: &str) {
    browser.click("#provider-links a").await;
    browser.seen("[name=login]").await;
    browser.type_in(login).await;
    browser.click("[value=yes]").await;
}

/// Scrolls to the end of the page, where the logins are.
async fn scroll(browser: &Browser) {
    browser
        .script("scrollTo(0, document.body.scrollHeight)", &[])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_logs_in_at_a_provider_and_sets_a_password() {
    let Some((service, _provider)) = start().await else {
        return;
    };
    let page = address(&service);
    let Some(browser) = Browser::open(&page, 1200, false).await else {
        return;
    };
    browser
        .says("#provider-links", "Continue with Example ID")
        .await;
    browser.picture("provider-entry").await;
    at_the_provider(&browser, EMAIL).await;
    browser.is_logged_in(EMAIL).await;
    // Nothing of it is in the address, or where a script could find it.
    let place = "return location.href + document.cookie";
    assert_eq!(browser.script(place, &[]).await, json!(page));
    let cookie = browser.page.get_named_cookie("__Host-refresh").await;
    assert_eq!(cookie.unwrap().http_only(), Some(true));
    assert!(browser.page.get_named_cookie("__Host-login").await.is_err());
    browser.page.refresh().await.unwrap();
    browser.is_logged_in(EMAIL).await;
    browser.says("#logins", "Linked").await;
    browser.says("#sessions", "Bound to this browser").await;
    browser.says("#set-password", "no password yet").await;
    // Forms do not ask for a password that does not exist.
    browser.click("#delete-ask").await;
    browser.shows("#delete-email").await;
    let asks = "return document.getElementById('delete-password').checkVisibility()";
    assert_eq!(browser.script(asks, &[]).await, json!(false));
    scroll(&browser).await;
    browser.picture("provider-account").await;

    // The last way to log in cannot be unlinked, until there is a password.
    browser.click("#logins button").await;
    browser.says("#logins-notice", "Set a password first").await;
    let enter = String::from(char::from(Key::Enter));
    browser
        .set("#first-password", &format!("short{enter}"))
        .await;
    browser.says("#set-notice", "too short").await;
    browser
        .set("#first-password", &format!("{PASSWORD}{enter}"))
        .await;
    browser.says("#change-notice", "have a password now").await;
    browser.shows("#delete-password").await;
    service.login(EMAIL, PASSWORD).await.tokens();

    browser.click("#logins button").await;
    browser
        .set("#prove-password", &format!("wrong{enter}"))
        .await;
    browser.says("#logins-notice", "not your password").await;
    browser
        .set("#prove-password", &format!("{PASSWORD}{enter}"))
        .await;
    browser.says("#logins-notice", "is unlinked").await;
    browser.says("#logins", "Not linked").await;
    browser.click("#logout").await;
    browser.says("#entry-notice", "logged out here").await;
    browser.click("#provider-links a").await;
    browser.says("#entry-notice", "was unlinked").await;
    browser.picture("provider-unlinked").await;

    // After a login with the password, the person links it again.
    log_in(&browser, EMAIL).await;
    browser.says("#logins", "Not linked").await;
    browser.click("#logins button").await;
    browser
        .set("#prove-password", &format!("{PASSWORD}{enter}"))
        .await;
    browser.says("#notice", "is linked to your account").await;
    browser.says("#logins", "Since").await;
    scroll(&browser).await;
    browser.picture("provider-linked").await;
    browser.click("#logout").await;
    browser.says("#entry-notice", "logged out here").await;
    browser.click("#provider-links a").await;
    browser.is_logged_in(EMAIL).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_cancels_at_a_provider_can_try_again() {
    let Some((service, _provider)) = start().await else {
        return;
    };
    let Some(browser) = Browser::open(&address(&service), 375, true).await else {
        return;
    };
    browser.says("#provider-links", "Example ID").await;
    browser.assert_fits().await;
    browser.picture("provider-phone-entry").await;
    browser.click("#provider-links a").await;
    browser.click("[value=no]").await;
    browser
        .says("#entry-notice", "not logged in at Example ID")
        .await;
    assert_eq!(shown(&browser).await, "entry");
    browser.assert_fits().await;
    browser.picture("provider-phone-cancelled").await;
    // A login whose address the provider has not verified.
    at_the_provider(&browser, &format!("unverified:{EMAIL}")).await;
    browser.says("#entry-notice", "address is verified").await;
    // An old address, opened from a bookmark.
    let old = format!(
        "{}auth/login/real/callback?code=x&state=y",
        address(&service)
    );
    browser.page.goto(&old).await.unwrap();
    browser.says("#entry-notice", "try again").await;
    browser.close().await;
}

/// An unavailable provider must not bring up the login form.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_waits_for_an_unavailable_provider() {
    let Some((service, mut provider)) = start().await else {
        return;
    };
    provider.kill();
    let Some(browser) = Browser::open(&address(&service), 375, false).await else {
        return;
    };
    browser.click("#provider-links a").await;
    browser.shows("#provider-away").await;
    browser
        .says("#provider-away-notice", "cannot be reached")
        .await;
    let hidden = "return document.querySelector('#entry').hidden";
    assert_eq!(browser.script(hidden, &[]).await, json!(true));
    browser.assert_fits().await;
    browser.picture("provider-phone-away").await;
    browser.click("#provider-other").await;
    browser.shows("#entry").await;
    provider.launch();
    let deadline = tokio::time::Instant::now() + WAIT;
    browser.click("#provider-links a").await;
    while browser.page.current_url().await.unwrap().host_str() != Some("localhost") {
        assert!(
            tokio::time::Instant::now() < deadline,
            "the provider is back"
        );
        let again =
            "document.querySelector('#provider-away:not([hidden]) #provider-again')?.click()";
        browser.script(again, &[]).await;
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    browser.seen("[name=login]").await;
    browser.type_in(EMAIL).await;
    browser.click("[value=yes]").await;
    browser.is_logged_in(EMAIL).await;
    browser.says("#logins", "Linked").await;
    browser.assert_fits().await;
    scroll(&browser).await;
    browser.picture("provider-phone-account").await;
    browser.close().await;
}
