//! Logging in on the page: continuing a session, and links in emails.

use std::num::NonZeroU32;
use std::time::Duration;

use axum::http::StatusCode;
use fantoccini::key::Key;

use crate::browser::{Browser, WAIT, address, fill_in, register, shown};
use crate::support::{PASSWORD, Place, Service};

/// A temporary error does not end the session.
#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_refresh_does_not_ask_for_a_login() {
    let service = Service::start_with(Place::sqlite(), |settings| {
        settings.rate_limit = NonZeroU32::new(20);
    })
    .await;
    let Some(browser) = Browser::open(&address(&service), 1200, false).await else {
        return;
    };
    register(&browser, "ada@example.com").await;
    // Another request is allowed every three seconds, which the page may get on a slow machine.
    for _ in 0..20 {
        while service.refresh("garbage").await.status != StatusCode::TOO_MANY_REQUESTS {}
        browser.page.refresh().await.unwrap();
        if shown(&browser).await == "waiting" {
            break;
        }
    }
    browser.says("#waiting", "Too many attempts").await;
    assert_eq!(shown(&browser).await, "waiting");
    browser.picture("waiting").await;

    let deadline = tokio::time::Instant::now() + WAIT;
    while shown(&browser).await == "waiting" {
        assert!(tokio::time::Instant::now() < deadline);
        browser
            .script("document.querySelector('#again').click()", &[])
            .await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    browser.is_logged_in("ada@example.com").await;
    browser.close().await;
}

/// The page never stays open without a session, not even if it ended while the page was loading.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_while_the_page_loads_asks_for_a_login() {
    let service = Service::start_in(Place::sqlite()).await;
    let Some(browser) = Browser::open(&address(&service), 1200, false).await else {
        return;
    };
    // Ends the session, by its cookie, right before the first request of the account.
    let end = "const real = window.fetch; \
         window.fetch = async (path, options) => { \
             if (path === '/auth/sessions') await real('/auth/logout', \
                 { method: 'POST', headers: { 'Token-Transport': 'cookie' } }); \
             return real(path, options); \
         };";
    browser.script(end, &[]).await;
    fill_in(&browser, "ada@example.com").await;
    browser.says("#entry-notice", "log in again").await;
    assert_eq!(shown(&browser).await, "entry");
    browser.close().await;
}

/// The emails that confirm the address and that choose a new password.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_confirms_the_address_and_chooses_a_new_password() {
    let service = Service::start_with(Place::sqlite(), |settings| {
        settings.require_verified_email = true;
    })
    .await;
    let page = address(&service);
    let Some(browser) = Browser::open(&page, 1200, false).await else {
        return;
    };
    let link = |letter: crate::support::mail::Letter| {
        let (_, link) = letter.text.split_once('#').unwrap();
        format!("{page}#{}", link.split_whitespace().next().unwrap())
    };
    fill_in(&browser, "ada@example.com").await;
    browser.says("#entry-notice", "sent you an email").await;
    browser.picture("letter").await;
    let letter = service.letter("ada@example.com", 1).await;
    let confirm = link(letter.clone());
    // A link scanner opens the page and runs its scripts, but presses nothing.
    for _ in 0..2 {
        browser.page.goto(&confirm).await.unwrap();
        browser.shows("#confirm [type=submit]").await;
        browser.page.refresh().await.unwrap();
        browser.shows("#entry").await;
    }
    let early = service.login("ada@example.com", PASSWORD).await;
    assert_eq!(early.status, StatusCode::UNAUTHORIZED);
    browser.page.goto(&confirm).await.unwrap();
    browser.picture("confirm").await;
    browser.click("#confirm-not").await;
    browser.says("#entry-notice", "Nothing has changed").await;
    // Pressed again, the page says the same. A wrong link explains what to do.
    let other = confirm.replace(&letter.token("confirm-email"), &"A".repeat(43));
    for (link, said) in [
        (&confirm, "is confirmed"),
        (&confirm, "is confirmed"),
        (&other, "is not valid any more"),
    ] {
        browser.page.goto(link).await.unwrap();
        browser.shows("#confirm [type=submit]").await;
        browser.click("#confirm [type=submit]").await;
        browser.shows("#entry").await;
        browser.says("#entry-notice", said).await;
    }

    browser.seen("#email").await.clear().await.unwrap();
    browser.click("#forgot").await;
    browser.says("#entry-notice", "address above first").await;
    browser.type_in("ada@example.com").await;
    browser.click("#forgot").await;
    browser.says("#entry-notice", "is on its way").await;
    let reset = link(service.letter("ada@example.com", 2).await);
    // Opening the link does not use it up.
    browser.page.goto(&reset).await.unwrap();
    browser.shows("#new-password").await;
    browser.page.refresh().await.unwrap();
    browser.shows("#entry").await;
    browser.page.goto(&reset).await.unwrap();
    browser.shows("#new-password").await;
    browser.type_in("password1").await;
    let enter = String::from(char::from(Key::Enter));
    browser.type_in(&enter).await;
    browser.says("#reset-notice", "too short").await;
    browser.picture("reset").await;
    let field = browser.seen("#new-password").await;
    field.clear().await.unwrap();
    let new = "another stapled battery horse";
    field.send_keys(&format!("{new}{enter}")).await.unwrap();
    browser.says("#entry-notice", "password is changed").await;
    let tokens = service.login("ada@example.com", new).await.tokens();
    service.assert_good(&tokens).await;
    browser.close().await;
}
