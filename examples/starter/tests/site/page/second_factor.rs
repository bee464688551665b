//! Second factors on the page: adding them, logging in with them, and turning them off.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fantoccini::key::Key;

use crate::browser::{Browser, WAIT, address, log_in};
use crate::start;
use crate::support::PASSWORD;
use crate::support::factor::{self, App};

/// An authenticator app and text messages are added, asked for at logins, and turned off, only with the
/// page.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_adds_second_factors_and_turns_them_off() {
    let service = start(Default::default()).await;
    let Some(browser) = Browser::open(&address(&service), 1200, false).await else {
        return;
    };
    let enter = String::from(char::from(Key::Enter));
    // Only a confirmed address gets codes by SMS.
    service.proved_user("ada@example.com").await;
    log_in(&browser, "ada@example.com").await;
    let elsewhere = service.login("ada@example.com", PASSWORD).await.tokens();
    browser.click("#add-totp").await;
    browser.type_in(&format!("wrong{enter}")).await;
    browser.says("#factor-notice", "not your password").await;
    browser.set("#factor-password", PASSWORD).await;
    browser.type_in(&enter).await;
    browser.shows("#qr path").await;
    browser.picture("qr").await;
    let secret = browser.text("#totp-secret").await.replace(' ', "");
    // The size of the QR code shows that it is complete.
    let modules = "return document.querySelector('#qr').getAttribute('viewBox')";
    let size = browser.script(modules, &[]).await;
    assert!(
        ["0 0 49 49", "0 0 53 53", "0 0 57 57"].contains(&size.as_str().unwrap()),
        "{size}"
    );
    browser.type_in(&format!("000000{enter}")).await;
    browser.says("#factor-notice", "code is wrong").await;
    let code = factor::code(&secret);
    let typed = format!("{}\u{a0}{}", &code[..3], &code[3..]);
    browser.set("#factor-code", &typed).await;
    browser.type_in(&enter).await;
    browser.shows("#recovery-codes li").await;
    browser.picture("recovery").await;
    let codes = browser.text("#recovery-codes").await;
    let codes: Vec<_> = codes.split_whitespace().map(str::to_owned).collect();
    assert_eq!(codes.len(), 10);
    // Sessions that were opened without it have ended.
    service.assert_over(&elsewhere).await;
    browser.click("#recovery-done").await;
    browser.says("#factor-state", "a code from your app").await;
    browser.says("#factor-state", "10 recovery codes").await;

    browser.click("#add-sms").await;
    browser.type_in("not a number").await;
    browser.set("#factor-password", PASSWORD).await;
    browser.type_in(&enter).await;
    browser
        .says("#factor-notice", "does not look like a phone")
        .await;
    browser.set("#phone", "+49 (151) 123-45678").await;
    browser.type_in(&enter).await;
    browser.says("#factor-notice", "is on its way").await;
    let sms = service.place.folder.path().join("sms");
    browser.set("#factor-code", &sms_code(&sms, 1).await).await;
    browser.type_in(&enter).await;
    browser.shows("#recovery-codes li").await;
    browser.click("#recovery-done").await;
    browser
        .says("#factor-state", "a code sent to your phone")
        .await;
    browser.picture("factors").await;

    // The next login asks for one of them.
    browser.click("#logout").await;
    browser.set("#email", "ada@example.com").await;
    browser.set("#password", PASSWORD).await;
    browser.type_in(&enter).await;
    browser.shows("#code").await;
    browser.choose("#method", "sms").await;
    browser.click("#send-sms").await;
    browser.says("#second-notice", "is on its way").await;
    browser.set("#code", &sms_code(&sms, 2).await).await;
    browser.type_in(&enter).await;
    browser.is_logged_in("ada@example.com").await;

    browser.says("#factor-state", "When you log in").await;
    browser.click("#remove-factor").await;
    browser.choose("#remove-method", "sms").await;
    browser.click("#factor-sms").await;
    browser.says("#factor-notice", "is on its way").await;
    browser.set("#remove-code", "123").await;
    browser.set("#factor-password", PASSWORD).await;
    browser.type_in(&enter).await;
    browser.says("#factor-notice", "has six digits").await;
    browser.set("#remove-code", "000 000").await;
    browser.type_in(&enter).await;
    browser.says("#factor-notice", "code is wrong").await;
    let code = sms_code(&sms, 3).await;
    let typed = format!(" {}-{} ", &code[..3], &code[3..]);
    browser.set("#remove-code", &typed).await;
    browser.type_in(&enter).await;
    browser.says("#factor-notice", "The password alone").await;
    service.login("ada@example.com", PASSWORD).await.tokens();
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_with_a_second_factor_is_asked_for_a_code() {
    let service = start(Default::default()).await;
    let Some(browser) = Browser::open(&address(&service), 1200, false).await else {
        return;
    };
    let app = App::of(&service, "ada@example.com").await;
    let log_in = async || {
        let fields = [("#email", "ada@example.com"), ("#password", PASSWORD)];
        for (field, text) in fields {
            let field = browser.seen(field).await;
            field.clear().await.unwrap();
            field.send_keys(text).await.unwrap();
        }
        browser.click("#entry [type=submit]").await;
        browser.shows("#code").await;
    };
    browser.shows("#email").await;
    log_in().await;
    browser.picture("second").await;
    let enter = String::from(char::from(Key::Enter));
    browser
        .script(
            "document.querySelector('#method').value = 'recovery_code'",
            &[],
        )
        .await;
    let code = browser.seen("#code").await;
    code.send_keys(&format!("nonsense{enter}")).await.unwrap();
    browser.says("#second-notice", "has 32 characters").await;
    code.clear().await.unwrap();
    let wrong = "0".repeat(32);
    code.send_keys(&format!("{wrong}{enter}")).await.unwrap();
    browser.says("#second-notice", "code is wrong").await;
    browser.click("#back").await;
    log_in().await;
    browser
        .script(
            "document.querySelector('#method').value = 'recovery_code'",
            &[],
        )
        .await;
    code.clear().await.unwrap();
    code.send_keys(&format!("{}{enter}", app.recovery_codes[0]))
        .await
        .unwrap();
    browser.is_logged_in("ada@example.com").await;
    // The refresh token of this login is out of reach of scripts as well.
    let cookie = browser.page.get_named_cookie("__Host-refresh").await;
    assert_eq!(cookie.unwrap().http_only(), Some(true));
    browser.close().await;
}

/// Returns the code in the last of this many SMS.
async fn sms_code(folder: &Path, count: usize) -> String {
    let deadline = tokio::time::Instant::now() + WAIT;
    loop {
        let files = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path());
        let is_message = |file: &PathBuf| {
            let name = file.file_name().unwrap().to_str().unwrap();
            name.ends_with(".txt") && !name.starts_with('.')
        };
        let mut files: Vec<_> = files.filter(is_message).collect();
        files.sort();
        if let Some(file) = files.get(count - 1) {
            let text = std::fs::read_to_string(file).unwrap();
            let (_, code) = text.split_once("\n\n").unwrap();
            return code.split_whitespace().next().unwrap().to_owned();
        }
        assert!(tokio::time::Instant::now() < deadline, "no message {count}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
