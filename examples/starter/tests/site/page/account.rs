//! The account on the page: changing the email address, downloading the data, deleting the account.

use fantoccini::key::Key;
use serde_json::{Value, json};

use crate::browser::{Browser, address, log_in};
use crate::start;
use crate::support::{PASSWORD, Service};

pub(super) const EMAIL: &str = "ada@example.com";
const NEW: &str = "augusta.ada.king.countess.of.lovelace@analytical-engine.example.org";

/// A phone in dark mode, and a desktop in light mode.
pub(super) const SCREENS: [(&str, u32, bool); 2] = [("phone", 375, true), ("desk", 1200, false)];

/// Opens the account page of a person with a confirmed address.
pub(super) async fn at_the_account(width: u32, dark: bool) -> Option<(Service, Browser)> {
    let service = start(Default::default()).await;
    let browser = Browser::open(&address(&service), width, dark).await?;
    service.proved_user(EMAIL).await;
    log_in(&browser, EMAIL).await;
    browser.says("#address", EMAIL).await;
    Some((service, browser))
}

/// Scrolls to a part of the page, and takes a screenshot.
pub(super) async fn look_at(browser: &Browser, id: &str, name: &str) {
    let script = "document.getElementById(arguments[0]).scrollIntoView()";
    browser.script(script, &[json!(id)]).await;
    browser.assert_fits().await;
    browser.picture(name).await;
}

/// Waits until an element is hidden.
pub(super) async fn hides(browser: &Browser, id: &str) {
    let script = "return document.getElementById(arguments[0]).closest('[hidden]') !== null";
    for _ in 0..400 {
        if browser.script(script, &[json!(id)]).await == json!(true) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{id} is still visible");
}

pub(super) fn enter() -> String {
    String::from(char::from(Key::Enter))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_changes_the_email_address() {
    for (name, width, dark) in SCREENS {
        let Some((service, browser)) = at_the_account(width, dark).await else {
            return;
        };
        let elsewhere = service.login(EMAIL, PASSWORD).await.tokens();
        browser.click("#address-change").await;
        browser.set("#new-email", EMAIL).await;
        browser.set("#address-password", PASSWORD).await;
        browser.type_in(&enter()).await;
        browser.says("#address-notice", "already has this").await;
        browser.set("#new-email", NEW).await;
        browser.type_in(&enter()).await;
        browser.says("#address-notice", "to both addresses").await;
        browser.says("#address-pending", NEW).await;
        look_at(&browser, "address-title", &format!("{name}-address")).await;

        let page = address(&service);
        let follow = async |link: &str, value: &str| {
            let link = format!("{page}#{link}={value}");
            browser.page.goto(&link).await.unwrap();
            browser.shows("#change-email-yes").await;
        };
        // Nothing happens before a button is pressed, and the token is not in the history.
        let new = service.letter(NEW, 1).await.token("new-email");
        follow("new-email", &new).await;
        browser
            .says("#change-email", "Is this your email address?")
            .await;
        let place = browser.page.current_url().await.unwrap();
        assert_eq!(place.fragment(), None);
        look_at(&browser, "main", &format!("{name}-address-new")).await;
        browser.click("#change-email-yes").await;
        browser.says("#notice", "the other address").await;
        browser.says("#address-pending", EMAIL).await;

        let old = service.letter(EMAIL, 2).await.token("old-email");
        follow("old-email", &old).await;
        look_at(&browser, "main", &format!("{name}-address-old")).await;
        browser.click("#change-email-yes").await;
        browser.says("#notice", "has its new email address").await;
        browser.is_logged_in(NEW).await;
        browser.says("#address", NEW).await;
        look_at(&browser, "main", &format!("{name}-address-done")).await;
        service.assert_over(&elsewhere).await;

        // A used link says so, and the session continues.
        follow("old-email", &old).await;
        browser.click("#change-email-no").await;
        browser.says("#notice", "not valid any more").await;
        browser.is_logged_in(NEW).await;
        browser.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_stops_a_change_of_the_email_address() {
    let Some((service, browser)) = at_the_account(1200, false).await else {
        return;
    };
    for (round, by_link) in [true, false].into_iter().enumerate() {
        browser.shows("#address-change").await;
        browser.click("#address-change").await;
        browser.set("#new-email", NEW).await;
        browser.set("#address-password", PASSWORD).await;
        browser.type_in(&enter()).await;
        browser.says("#address-pending", NEW).await;
        if by_link {
            let old = service.letter(EMAIL, 2 + round).await.token("old-email");
            let link = format!("{}#old-email={old}", address(&service));
            browser.page.goto(&link).await.unwrap();
            browser.shows("#change-email-no").await;
            browser.click("#change-email-no").await;
            browser.says("#notice", "stays as it is").await;
        } else {
            browser.shows("#address-stop").await;
            browser.click("#address-stop").await;
            browser.says("#address-notice", "stays as it is").await;
        }
        browser.says("#address", EMAIL).await;
        hides(&browser, "address-pending").await;
    }
    browser.close().await;
}

/// An outage is reported as one: nobody is asked to log in, and the link works later.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_still_works_after_an_outage() {
    let Some((service, browser)) = at_the_account(1200, false).await else {
        return;
    };
    browser.click("#address-change").await;
    browser.set("#new-email", NEW).await;
    browser.set("#address-password", PASSWORD).await;
    browser.type_in(&enter()).await;
    browser.says("#address-pending", NEW).await;
    let old = service.letter(EMAIL, 2).await.token("old-email");
    let link = format!("{}#old-email={old}", address(&service));
    browser.page.goto(&link).await.unwrap();
    browser.shows("#change-email-yes").await;
    let mut database = service.database().await;
    let lock = sqlx::Connection::begin_with(&mut database, "BEGIN IMMEDIATE");
    let lock = lock.await.unwrap();
    browser.click("#change-email-yes").await;
    browser.says("#change-email-notice", "try again").await;
    lock.rollback().await.unwrap();
    browser.click("#change-email-yes").await;
    browser.says("#notice", "the other address").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_downloads_the_data_and_deletes_the_account() {
    for (name, width, dark) in SCREENS {
        let Some((service, browser)) = at_the_account(width, dark).await else {
            return;
        };
        let watch = "const make = URL.createObjectURL; window.saved = null; \
             URL.createObjectURL = (file) => { \
                 file.text().then((text) => { window.saved = text; }); return make(file); }";
        browser.script(watch, &[]).await;
        browser.click("#download").await;
        browser.says("#download-notice", "is saved").await;
        let saved = browser.script("return window.saved", &[]).await;
        let saved: Value = serde_json::from_str(saved.as_str().unwrap()).unwrap();
        assert_eq!(saved["account"]["email"], EMAIL);

        browser.click("#delete-ask").await;
        browser.set("#delete-email", "eve@example.com").await;
        browser.set("#delete-password", PASSWORD).await;
        browser.type_in(&enter()).await;
        browser
            .says("#delete-notice", "Type the email address")
            .await;
        look_at(&browser, "data-title", &format!("{name}-delete")).await;
        browser.set("#delete-email", EMAIL).await;
        browser.type_in(&enter()).await;
        browser.says("#entry-notice", "is deleted").await;
        browser.assert_fits().await;
        browser.picture(&format!("{name}-deleted")).await;
        let refused = service.login(EMAIL, PASSWORD).await;
        assert_eq!(refused.code(), "invalid_credentials");
        browser.page.refresh().await.unwrap();
        browser.shows("#entry").await;
        browser.close().await;
    }
}
