//! [`Sms`]: sends codes to phones. By default they are written to a folder.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::config::data_folder;
use crate::config::{dangerous, production};
use crate::config::{parsed, variable};
use crate::email::{NotSent, Sending};
use crate::error::Error;
use crate::http;

/// How long the gateway may take.
const TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_PER_DAY: u32 = 1000;

/// Where SMS go, who they are from, and how many may be sent.
#[derive(Clone)]
#[allow(missing_debug_implementations)] // the URL contains a password
pub struct SmsSettings {
    /// The gateway, with the account and its password: `https://ACCOUNT:TOKEN@api.twilio.com`.
    pub url: Option<String>,
    /// The phone number or name that SMS come from.
    pub from: String,
    /// The folder that SMS are written to if there is no gateway, one file each.
    pub folder: PathBuf,
    /// Whether the service offers codes by SMS at all.
    pub is_offered: bool,
    /// How many SMS the whole service sends in a day.
    pub per_day: u32,
}

/// Delivers a text to a phone.
pub(crate) trait Sms: Send + Sync {
    fn send<'a>(&'a self, to: &'a str, text: &'a str) -> Sending<'a>;
}

/// Writes each message to a file.
struct SmsFolder(PathBuf);

/// A gateway with the API of Twilio, which others offer as well.
struct Gateway {
    client: reqwest::Client,
    url: String,
    account: String,
    token: String,
    from: String,
}

/// Returns the text of an SMS with a code.
pub(crate) fn text_of(code: &str) -> String {
    format!("{code} is your code. It is valid for 5 minutes. Do not share it with anybody.")
}

// === impl SmsSettings ===

impl SmsSettings {
    pub(crate) fn from_env(folder: PathBuf) -> Result<Self, Error> {
        let (url, from) = (variable("SMS_URL")?, variable("SMS_FROM")?);
        if url.is_some() && from.is_none() {
            return Err("SMS_FROM is not set: SMS_URL needs a phone number to send from".into());
        }
        let per_day = parsed::<NonZeroU32>("SMS_PER_DAY", "a whole number, 1 or more")?;
        // In production, nobody reads SMS in files, so by default they are not offered there.
        let is_offered =
            url.is_some() || !production::is_on()? || dangerous::allows(dangerous::SMS_TO_FILES)?;
        Ok(Self {
            url,
            is_offered,
            per_day: per_day.map_or(DEFAULT_PER_DAY, NonZeroU32::get),
            from: from.unwrap_or_default(),
            folder: variable("SMS_FOLDER")?.map_or(folder, PathBuf::from),
        })
    }

    /// Returns a sender for the gateway if there is a URL, and for the folder otherwise.
    pub(crate) fn sms(&self) -> Result<Arc<dyn Sms>, Error> {
        match &self.url {
            Some(url) => Ok(Arc::new(Gateway::new(url, &self.from)?)),
            None if self.is_offered => Ok(Arc::new(SmsFolder::new(&self.folder)?)),
            // Not used, because the service offers no SMS.
            None => Ok(Arc::new(SmsFolder(self.folder.clone()))),
        }
    }
}

// === impl SmsFolder ===

impl SmsFolder {
    fn new(folder: &Path) -> Result<Self, Error> {
        data_folder(folder)?;
        Ok(Self(folder.to_owned()))
    }
}

impl Sms for SmsFolder {
    fn send<'a>(&'a self, to: &'a str, text: &'a str) -> Sending<'a> {
        let (folder, text) = (self.0.clone(), format!("To: {to}\n\n{text}\n"));
        Box::pin(async move {
            let write = move || crate::email::write_file(&folder, "txt", text.as_bytes());
            let written = tokio::task::spawn_blocking(write).await;
            match written.map_err(std::io::Error::other).flatten() {
                Ok(path) => {
                    tracing::info!(file = %path.display(), "SMS written");
                    Ok(())
                }
                Err(error) => Err(NotSent::for_now(error)),
            }
        })
    }
}

// === impl Gateway ===

impl Gateway {
    fn new(url: &str, from: &str) -> Result<Self, Error> {
        let wanted = "SMS_URL must have the form https://ACCOUNT:TOKEN@host";
        let mut parsed = reqwest::Url::parse(url).map_err(|_| wanted)?;
        let account = parsed.username().to_owned();
        let token = parsed.password().unwrap_or_default().to_owned();
        let cleared = parsed.set_username("").and(parsed.set_password(None));
        if account.is_empty() || token.is_empty() || cleared.is_err() {
            return Err(wanted.into());
        }
        let base = http::base_url("SMS_URL", parsed.as_str())?;
        Ok(Self {
            client: http::client(TIMEOUT)?,
            url: format!("{base}/2010-04-01/Accounts/{account}/Messages.json"),
            account,
            token,
            from: from.to_owned(),
        })
    }
}

impl Sms for Gateway {
    fn send<'a>(&'a self, to: &'a str, text: &'a str) -> Sending<'a> {
        Box::pin(async move {
            let form = [("To", to), ("From", &*self.from), ("Body", text)];
            let request = self.client.post(&self.url).form(&form);
            let request = request.basic_auth(&self.account, Some(&self.token));
            let answer = request.send().await;
            let answer = answer.map_err(|error| NotSent::for_now(error.without_url()))?;
            let status = answer.status();
            if status.is_success() {
                tracing::info!("SMS sent");
                return Ok(());
            }
            // Other client errors, such as a number that does not exist, stay the same the next time.
            let is_refused = matches!(status.as_u16(), 401 | 403);
            Err(NotSent {
                again: is_refused || status.is_server_error() || status.as_u16() == 429,
                error: format!("the SMS gateway answered {status}").into(),
                cure: is_refused
                    .then_some("the gateway refuses the account or token in SMS_URL: correct them"),
            })
        })
    }
}
