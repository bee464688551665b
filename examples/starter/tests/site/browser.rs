//! A browser for the tests of the page: Chromium without a window, driven through chromedriver.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use axum::http::Method; // chapter: passkeys
use fantoccini::key::Key;
use fantoccini::wd::WebDriverCompatibleCommand; // chapter: passkeys
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;
use url::{ParseError, Url}; // chapter: passkeys

use crate::support::server::{find, missing};
use crate::support::{Folder, PASSWORD, Service};

pub(crate) const WAIT: Duration = Duration::from_secs(20);

/// Kills the process group of chromedriver, which includes Chromium, when its input ends: when the test binary
/// ends at the latest.
/// A signal to all processes, such as that of Ctrl-C, does not end it before.
const WATCH: &str = "trap : INT TERM HUP; read -r word; kill -KILL -$1";

/// A browser with a folder of its own, which is stopped when this is dropped.
pub(crate) struct Browser {
    pub(crate) page: Client,
    _driver: Driver,
    folder: Folder,
}

/// Stops chromedriver and Chromium, even after a failing test.
struct Driver {
    driver: Child,
    watch: Child,
    /// The input of the watch.
    input: Option<ChildStdin>,
}

/// Looks for a text in a visible element for some seconds, in the page: to ask the browser again and again would be
/// most of the work of a test.
const LOOK: &str = "
    const [selector, words, done] = arguments;
    const end = Date.now() + 3000;
    const look = () => {
        const element = document.querySelector(selector);
        const shown = element?.checkVisibility({ visibilityProperty: true });
        if (shown && (element.innerText ?? '').includes(words)) done(true);
        else if (Date.now() > end) done(false);
        else setTimeout(look, 20);
    };
    look();
";

// === impl Browser ===

impl Browser {
    /// Opens a page. Returns `None`, and says so, if there is no Chromium on this machine.
    pub(crate) async fn open(address: &str, width: u32, dark: bool) -> Option<Self> {
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
            .process_group(0)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let driver = Driver::watched(driver);
        let port = lines.find_map(|line| {
            let line = line.unwrap();
            let port = line.split_once("successfully on port ")?.1;
            Some(port.trim_end_matches('.').to_owned())
        });
        let port = port.expect("chromedriver prints its port");
        // Its further output must not fill the pipe.
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
            _driver: driver,
            folder,
        })
    }

    pub(crate) async fn seen(&self, selector: &str) -> fantoccini::elements::Element {
        let wait = self.page.wait().at_most(WAIT);
        let element = wait.for_element(Locator::Css(selector)).await;
        element.unwrap_or_else(|error| panic!("{selector}: {error}"))
    }

    /// Clicks as soon as the element can be clicked: it may still be hidden, or be drawn anew.
    pub(crate) async fn click(&self, selector: &str) {
        let deadline = Instant::now() + WAIT;
        while let Err(error) = self.seen(selector).await.click().await {
            let late = Instant::now() > deadline;
            assert!(
                !late,
                "{selector}: {error}: the page says {:?}",
                self.text("body").await
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn text(&self, selector: &str) -> String {
        self.seen(selector).await.text().await.unwrap()
    }

    /// Waits until the element is visible and its text contains this.
    pub(crate) async fn says(&self, selector: &str, words: &str) {
        let arguments = [json!(selector), json!(words)];
        let deadline = Instant::now() + WAIT;
        // While the page changes to another one, this is an error.
        while self.page.execute_async(LOOK, arguments.to_vec()).await.ok() != Some(json!(true)) {
            let late = Instant::now() > deadline;
            assert!(
                !late,
                "{selector} should say {words:?}, and the page says {:?}",
                self.text("body").await
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until this person is logged in, and every part of the account has loaded. A session that is ended
    /// earlier, elsewhere, is noticed by the request of one of these parts.
    pub(crate) async fn is_logged_in(&self, email: &str) {
        self.says("#who", email).await;
        self.shows("#account[aria-busy=false]").await;
    }

    /// Waits until the element is visible.
    pub(crate) async fn shows(&self, selector: &str) {
        self.says(selector, "").await;
    }

    pub(crate) async fn script(
        &self,
        script: &str,
        arguments: &[serde_json::Value],
    ) -> serde_json::Value {
        self.page.execute(script, arguments.to_vec()).await.unwrap()
    }

    /// Types this into a field, and leaves the focus there.
    pub(crate) async fn set(&self, selector: &str, text: &str) {
        self.shows(selector).await;
        let field = self.seen(selector).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    pub(crate) async fn choose(&self, selector: &str, value: &str) {
        let field = self.seen(selector).await;
        field.select_by_value(value).await.unwrap();
    }

    /// Types into the element with the focus.
    pub(crate) async fn type_in(&self, text: &str) {
        self.page
            .active_element()
            .await
            .unwrap()
            .send_keys(text)
            .await
            .unwrap();
    }

    /// Takes a screenshot, if `SCREENSHOTS=folder` is set.
    pub(crate) async fn picture(&self, name: &str) {
        if let Some(folder) = std::env::var_os("SCREENSHOTS") {
            let picture = self.page.screenshot().await.unwrap();
            std::fs::write(PathBuf::from(folder).join(format!("{name}.png")), picture).unwrap();
        }
    }

    /// Checks that nothing is wider than the window, so that nobody has to scroll sideways.
    pub(crate) async fn assert_fits(&self) {
        let script = "return document.documentElement.scrollWidth - window.innerWidth";
        let over = self.script(script, &[]).await;
        assert!(over.as_i64().unwrap() <= 0, "{over} pixels too wide");
    }

    // chapter: passkeys {
    /// Gives the browser a virtual device for passkeys (WebAuthn Level 3 section 11.3), which unlocks
    /// itself.
    pub(crate) async fn add_authenticator(&self) -> String {
        let device = json!({
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": true,
            "hasUserVerification": true,
            "isUserVerified": true,
        });
        let path = "webauthn/authenticator".to_owned();
        let id = self.page.issue_cmd(Extension(path, device)).await.unwrap();
        id.as_str().unwrap().to_owned()
    }

    /// Sets whether the device unlocks from now on.
    pub(crate) async fn unlocks(&self, authenticator: &str, unlocks: bool) {
        let path = format!("webauthn/authenticator/{authenticator}/uv");
        let body = json!({ "isUserVerified": unlocks });
        self.page.issue_cmd(Extension(path, body)).await.unwrap();
    }
    // chapter: passkeys }

    pub(crate) async fn close(self) {
        self.page.close().await.unwrap();
    }
}

// === impl Driver ===

impl Driver {
    fn watched(driver: Child) -> Self {
        let mut watch = Command::new("/bin/sh")
            .args(["-c", WATCH, "sh", &driver.id().to_string()])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            driver,
            input: watch.stdin.take(),
            watch,
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.watch.wait();
        let _ = self.driver.wait();
    }
}

/// Counts the processes of a browser with this folder.
#[cfg(target_os = "linux")]
fn processes_in(folder: &std::path::Path) -> usize {
    let of_the_browser = |process: &std::fs::DirEntry| {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(folder.to_str().unwrap())
    };
    let processes = std::fs::read_dir("/proc").unwrap();
    processes.flatten().filter(of_the_browser).count()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_test_that_fails_leaves_no_browser_behind() {
    let Some(browser) = Browser::open("about:blank", 375, false).await else {
        return;
    };
    let folder = browser.folder.path().to_owned();
    assert_ne!(processes_in(&folder), 0);
    let failed = tokio::spawn(async move {
        let _browser = browser;
        panic!("like a failing test");
    });
    assert!(failed.await.is_err());
    let deadline = tokio::time::Instant::now() + WAIT;
    while processes_in(&folder) > 0 {
        assert!(
            tokio::time::Instant::now() < deadline,
            "the browser still runs"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

// chapter: passkeys {
/// A WebDriver extension command: the path within the session, and its body.
#[derive(Debug)]
struct Extension(String, serde_json::Value);

// === impl Extension ===

impl WebDriverCompatibleCommand for Extension {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        let session = session.unwrap_or_default();
        base.join(&format!("session/{session}/{}", self.0))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.1.to_string()))
    }
}
// chapter: passkeys }

pub(crate) fn address(service: &Service) -> String {
    format!("http://{}/", service.address())
}

pub(crate) async fn register(browser: &Browser, email: &str) {
    fill_in(browser, email).await;
    browser.is_logged_in(email).await;
}

/// Logs in to an existing account, by keyboard alone.
pub(crate) async fn log_in(browser: &Browser, email: &str) {
    browser.shows("#entry").await;
    browser
        .script("document.querySelector('[value=login]').focus()", &[])
        .await;
    let tab = String::from(char::from(Key::Tab));
    browser.type_in(&tab).await;
    browser.type_in(email).await;
    browser.type_in(&tab).await;
    browser.type_in(PASSWORD).await;
    browser.type_in(&String::from(char::from(Key::Enter))).await;
    browser.is_logged_in(email).await;
}

/// Fills in the form for a new account, and sends it.
pub(crate) async fn fill_in(browser: &Browser, email: &str) {
    browser.shows("#entry").await;
    // By keyboard alone: an arrow key chooses, and Enter sends.
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

/// Returns the visible part of the page, as soon as there is one.
pub(crate) async fn shown(browser: &Browser) -> String {
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
