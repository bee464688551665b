//! The page, in a browser: Chromium without a window, driven through chromedriver.

use std::io::{BufRead, BufReader};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::http::StatusCode;
use fantoccini::key::Key;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;

use crate::avatars::picture;
use crate::start;
use crate::support::factor::{self, App};
use crate::support::server::{find, missing};
use crate::support::{Folder, PASSWORD, Place, Service};

const WAIT: Duration = Duration::from_secs(20);

/// A browser with a folder of its own; dropped, it is ended.
struct Browser {
    page: Client,
    driver: Child,
    _folder: Folder,
}

// === impl Browser ===

impl Browser {
    /// None, loudly, where there is none on this machine.
    async fn open(address: &str, width: u32, dark: bool) -> Option<Self> {
        let driver = find(&["chromedriver"], vec![PathBuf::from("/usr/lib/chromium")]);
        let browser = find(&["chromium"], Vec::new());
        let (Some(driver), Some(browser)) = (driver, browser) else {
            missing("chromium with chromium-driver");
            return None;
        };
        let folder = Folder::new("browser");
        let mut driver = Command::new(driver.join("chromedriver"))
            .arg("--port=0")
            .env("HOME", folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| {
            let line = line.unwrap();
            let port = line.split_once("successfully on port ")?.1;
            Some(port.trim_end_matches('.').to_owned())
        });
        let port = port.expect("chromedriver tells its port");
        // What it says later must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));

        let mut arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--lang=en",
        ]
        .map(str::to_owned)
        .to_vec();
        arguments.push(format!("--user-data-dir={}", folder.path().display()));
        if dark {
            arguments.push("--blink-settings=preferredColorScheme=0".to_owned());
        }
        let options = json!({
            "goog:chromeOptions": {
                "binary": browser.join("chromium"),
                "args": arguments,
                "mobileEmulation": { "deviceMetrics": {
                    "width": width, "height": 900, "pixelRatio": 1.0, "touch": false, "mobile": false,
                } },
            },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let page = ClientBuilder::new(HttpConnector::new())
            .capabilities(options.as_object().unwrap().clone())
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap();
        page.goto(address).await.unwrap();
        Some(Self {
            page,
            driver,
            _folder: folder,
        })
    }

    async fn seen(&self, selector: &str) -> fantoccini::elements::Element {
        let wait = self.page.wait().at_most(WAIT);
        let element = wait.for_element(Locator::Css(selector)).await;
        element.unwrap_or_else(|error| panic!("{selector}: {error}"))
    }

    async fn click(&self, selector: &str) {
        self.seen(selector).await.click().await.unwrap();
    }

    async fn text(&self, selector: &str) -> String {
        self.seen(selector).await.text().await.unwrap()
    }

    /// Waits until the text of the element holds this.
    async fn says(&self, selector: &str, words: &str) {
        let script =
            "return document.querySelector(arguments[0])?.innerText.includes(arguments[1])";
        let deadline = tokio::time::Instant::now() + WAIT;
        while self.script(script, &[json!(selector), json!(words)]).await != json!(true) {
            let late = tokio::time::Instant::now() > deadline;
            assert!(
                !late,
                "{selector} should say {words:?}, and says {:?}",
                self.text(selector).await
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the element is there to be used: text is found in hidden ones too.
    async fn shows(&self, selector: &str) {
        let deadline = tokio::time::Instant::now() + WAIT;
        while !self.seen(selector).await.is_displayed().await.unwrap() {
            let late = tokio::time::Instant::now() > deadline;
            assert!(!late, "{selector} is hidden");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn script(&self, script: &str, arguments: &[serde_json::Value]) -> serde_json::Value {
        self.page.execute(script, arguments.to_vec()).await.unwrap()
    }

    /// Puts this into a field, and leaves the focus there.
    async fn set(&self, selector: &str, text: &str) {
        self.shows(selector).await;
        let field = self.seen(selector).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    async fn choose(&self, selector: &str, value: &str) {
        let field = self.seen(selector).await;
        field.select_by_value(value).await.unwrap();
    }

    /// Types where the focus is.
    async fn type_in(&self, text: &str) {
        self.page
            .active_element()
            .await
            .unwrap()
            .send_keys(text)
            .await
            .unwrap();
    }

    /// For whoever wants to look: `SCREENSHOTS=folder`.
    async fn picture(&self, name: &str) {
        if let Some(folder) = std::env::var_os("SCREENSHOTS") {
            let picture = self.page.screenshot().await.unwrap();
            std::fs::write(PathBuf::from(folder).join(format!("{name}.png")), picture).unwrap();
        }
    }

    /// Nothing is wider than the window, so that nobody scrolls sideways.
    async fn assert_fits(&self) {
        let script = "return document.documentElement.scrollWidth - window.innerWidth";
        let over = self.script(script, &[]).await;
        assert!(over.as_i64().unwrap() <= 0, "{over} pixels too wide");
    }

    async fn close(mut self) {
        self.page.clone().close().await.unwrap();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn address(service: &Service) -> String {
    format!("http://{}/", service.address())
}

async fn register(browser: &Browser, email: &str) {
    fill_in(browser, email).await;
    browser.says("#who", email).await;
}

/// The form for a new account, and sends it.
async fn fill_in(browser: &Browser, email: &str) {
    browser.says("#entry", "Log in").await;
    // By keyboard alone: the arrow chooses, and Enter sends.
    browser
        .script("document.querySelector('[value=login]').focus()", &[])
        .await;
    browser.type_in(&String::from(char::from(Key::Right))).await;
    browser.says("#entry", "Create account").await;
    let tab = String::from(char::from(Key::Tab));
    browser.type_in(&tab).await;
    browser.type_in(email).await;
    browser.type_in(&tab).await;
    browser.type_in(PASSWORD).await;
    browser.type_in(&String::from(char::from(Key::Enter))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_registers_uses_and_ends_a_session() {
    let service = start(Default::default()).await;
    let Some(browser) = Browser::open(&address(&service), 1200, false).await else {
        return;
    };
    browser.says("h1", "in safe hands").await;
    browser.picture("welcome").await;
    register(&browser, "ada@example.com").await;
    browser.says("#claims", "ada@example.com").await;
    browser.says("#left", ":").await;
    browser.says("#sessions", "This one").await;
    browser.picture("account").await;

    // No script can read the cookie, and nothing is stored.
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
    browser.says("#notice", "A fresh token").await;
    let after = browser
        .page
        .get_named_cookie("__Host-refresh")
        .await
        .unwrap();
    assert_ne!(after.value(), cookie.value());

    // Another device, whose session ends from here.
    let other = service.login("ada@example.com", PASSWORD).await.tokens();
    browser.page.refresh().await.unwrap();
    browser.says("#sessions", "Unknown device").await;
    browser.click("#sessions button").await;
    browser.says("#notice", "That session is over").await;
    service.assert_over(&other).await;

    browser.click("#logout").await;
    browser
        .says("#entry-notice", "You are logged out here")
        .await;
    browser.page.refresh().await.unwrap();
    browser.says("h1", "in safe hands").await;

    // What goes wrong is told in words, and by hand everything works again.
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
        .says("#entry-notice", "do not belong together")
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
    browser.says("#who", "ada@example.com").await;

    // Ended from elsewhere while the page is open.
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

/// Which part of the page is there to be used, as soon as one is.
async fn shown(browser: &Browser) -> String {
    let script = "return ['entry', 'waiting', 'account'] \
         .find((id) => !document.getElementById(id).closest('[hidden]')) ?? null";
    let deadline = tokio::time::Instant::now() + WAIT;
    loop {
        if let Some(id) = browser.script(script, &[]).await.as_str() {
            return id.to_owned();
        }
        let late = tokio::time::Instant::now() > deadline;
        assert!(!late, "the page stays empty");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What goes wrong for a while is not the end of the session.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_whose_refresh_has_to_wait_is_not_asked_to_log_in() {
    let service = Service::start_with(Place::sqlite(), |settings| {
        settings.rate_limit = NonZeroU32::new(20);
    })
    .await;
    let Some(browser) = Browser::open(&address(&service), 1200, false).await else {
        return;
    };
    register(&browser, "ada@example.com").await;
    // There is room for another request every three seconds: on a slow machine the page gets it.
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
    browser.says("#who", "ada@example.com").await;
    browser.close().await;
}

/// Letters: the one that confirms the address, and the one for a new password.
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
    browser.says("#entry-notice", "sent you a letter").await;
    browser.picture("letter").await;
    // The link is good once, and then in words no more.
    let confirm = link(service.letter("ada@example.com", 1).await);
    browser.page.goto(&confirm).await.unwrap();
    browser.says("#entry-notice", "is confirmed").await;
    browser.page.goto(&confirm).await.unwrap();
    browser.says("#entry-notice", "This link was used").await;

    browser.seen("#email").await.clear().await.unwrap();
    browser.click("#forgot").await;
    browser.says("#entry-notice", "address above first").await;
    browser.type_in("ada@example.com").await;
    browser.click("#forgot").await;
    browser.says("#entry-notice", "is on its way").await;
    let reset = link(service.letter("ada@example.com", 2).await);
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
    browser.says("#second-notice", "not right").await;
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
    browser.says("#who", "ada@example.com").await;
    // The refresh token of this login too is where no script finds it.
    let cookie = browser.page.get_named_cookie("__Host-refresh").await;
    assert_eq!(cookie.unwrap().http_only(), Some(true));
    browser.close().await;
}

/// By the page alone: an app and text messages are added, ask at logins, and are turned off.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_adds_second_factors_and_turns_them_off() {
    let service = start(Default::default()).await;
    let Some(browser) = Browser::open(&address(&service), 1200, false).await else {
        return;
    };
    let enter = String::from(char::from(Key::Enter));
    register(&browser, "ada@example.com").await;
    let elsewhere = service.login("ada@example.com", PASSWORD).await.tokens();
    browser.click("#add-totp").await;
    browser.type_in(&format!("wrong{enter}")).await;
    browser.says("#factor-notice", "not your password").await;
    browser.set("#factor-password", PASSWORD).await;
    browser.type_in(&enter).await;
    browser.shows("#qr path").await;
    browser.picture("qr").await;
    let secret = browser.text("#totp-secret").await.replace(' ', "");
    // What a camera sees is what is said: the size of the code tells that it is whole.
    let modules = "return document.querySelector('#qr').getAttribute('viewBox')";
    let size = browser.script(modules, &[]).await;
    assert!(
        ["0 0 49 49", "0 0 53 53", "0 0 57 57"].contains(&size.as_str().unwrap()),
        "{size}"
    );
    browser.type_in(&format!("000000{enter}")).await;
    browser.says("#factor-notice", "not right").await;
    browser.set("#factor-code", &factor::code(&secret)).await;
    browser.type_in(&enter).await;
    browser.shows("#recovery-codes li").await;
    browser.picture("recovery").await;
    let codes = browser.text("#recovery-codes").await;
    let codes: Vec<_> = codes.split_whitespace().map(str::to_owned).collect();
    assert_eq!(codes.len(), 10);
    // What was opened without it has ended.
    service.assert_over(&elsewhere).await;
    browser.click("#recovery-done").await;
    browser.says("#factor-state", "a code of your app").await;
    browser.says("#factor-state", "10 recovery codes").await;

    browser.click("#add-sms").await;
    browser.type_in("not a number").await;
    browser.set("#factor-password", PASSWORD).await;
    browser.type_in(&enter).await;
    browser
        .says("#factor-notice", "does not look like a telephone")
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
        .says("#factor-state", "a code sent to your telephone")
        .await;
    browser.picture("factors").await;

    // The next login is asked for one of them.
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
    browser.says("#who", "ada@example.com").await;

    browser.says("#factor-state", "as well").await;
    browser.click("#remove-factor").await;
    browser.choose("#remove-method", "sms").await;
    browser.click("#factor-sms").await;
    browser.says("#factor-notice", "is on its way").await;
    browser.set("#remove-code", "123").await;
    browser.set("#factor-password", PASSWORD).await;
    browser.type_in(&enter).await;
    browser.says("#factor-notice", "not right").await;
    browser.set("#remove-code", &sms_code(&sms, 3).await).await;
    browser.type_in(&enter).await;
    browser.says("#factor-notice", "The password alone").await;
    service.login("ada@example.com", PASSWORD).await.tokens();
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_has_a_picture_and_changes_the_password() {
    let service = start(Default::default()).await;
    let Some(browser) = Browser::open(&address(&service), 1200, false).await else {
        return;
    };
    let enter = String::from(char::from(Key::Enter));
    register(&browser, "ada@example.com").await;
    browser.says("#no-picture", "A").await;
    let file = service.place.folder.path().join("me.png");
    for (bytes, ends) in [(b"no picture".to_vec(), false), (picture(), true)] {
        std::fs::write(&file, bytes).unwrap();
        let field = browser
            .page
            .find(Locator::Css("#picture-file"))
            .await
            .unwrap();
        field.send_keys(file.to_str().unwrap()).await.unwrap();
        if ends {
            browser.shows("#picture").await;
        } else {
            browser
                .says("#picture-notice", "no picture that we can read")
                .await;
        }
    }
    // It is drawn: the policy of the page lets it be.
    let drawn =
        "const it = document.querySelector('#picture'); return it.complete && it.naturalWidth";
    let deadline = tokio::time::Instant::now() + WAIT;
    while browser.script(drawn, &[]).await != json!(256) {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    browser.picture("picture").await;
    browser.click("#picture-remove").await;
    browser.shows("#no-picture").await;

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

/// The code in the last of so many short messages.
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

#[tokio::test(flavor = "multi_thread")]
async fn the_page_fits_a_phone_and_the_dark() {
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
        browser.says("#sessions", "This one").await;
        browser.assert_fits().await;
        browser.picture(&format!("{name}-account")).await;
        browser.click("#add-totp").await;
        browser.set("#factor-password", PASSWORD).await;
        browser.type_in(&String::from(char::from(Key::Enter))).await;
        browser.shows("#qr path").await;
        browser.assert_fits().await;
        browser.picture(&format!("{name}-factor")).await;
        browser.close().await;
    }
}

/// With the policy of each page: nothing is blocked that it needs.
#[tokio::test(flavor = "multi_thread")]
async fn the_description_of_the_api_is_shown_under_its_policy() {
    let service = start(Default::default()).await;
    let address = format!("{}docs/", address(&service));
    let Some(browser) = Browser::open(&address, 1200, false).await else {
        return;
    };
    browser.says("#swagger-ui", "/auth/login").await;
    browser.picture("docs").await;
    browser.close().await;
}
