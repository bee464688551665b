//! [`Breached`]: checks whether a password is known from a breach, without telling anybody the password.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sha1::{Digest, Sha1};

use crate::error::Error;
use crate::http;

/// How long a registration waits for the response in the worst case.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The size limit of a response. A range has about a thousand lines, plus padding.
const MAX_BYTES: usize = 1024 * 1024;

pub(crate) type Asking<'a> = Pin<Box<dyn Future<Output = Result<bool, Error>> + Send + 'a>>;

/// A list of passwords from breaches.
pub(crate) trait Breached: Send + Sync {
    fn contains<'a>(&'a self, password: &'a str) -> Asking<'a>;
}

/// The range API of Have I Been Pwned, or a copy of it. It receives the first 20 bits of the SHA-1, which
/// hundreds of passwords share (k-anonymity). Padding hides the length of the response.
struct RangeApi {
    client: reqwest::Client,
    url: String,
}

/// Opens the API at this URL. Returns `None` without a URL.
pub(crate) fn choose(url: Option<&str>) -> Result<Option<Arc<dyn Breached>>, Error> {
    let Some(url) = url else {
        return Ok(None);
    };
    let url = http::base_url("BREACHED_PASSWORDS_URL", url)?;
    let client = http::client(TIMEOUT)?;
    Ok(Some(Arc::new(RangeApi { client, url })))
}

// === impl RangeApi ===

impl Breached for RangeApi {
    fn contains<'a>(&'a self, password: &'a str) -> Asking<'a> {
        Box::pin(async move {
            let digest = Sha1::digest(password);
            let digest: String = digest.iter().map(|byte| format!("{byte:02X}")).collect();
            let (range, wanted) = digest.split_at(5);
            let request = self.client.get(format!("{}/range/{range}", self.url));
            let answer = request.header("Add-Padding", "true").send().await?;
            let answer = http::text(answer.error_for_status()?, MAX_BYTES).await?;
            let mut is_found = false;
            for line in answer.lines() {
                is_found |= found(line, wanted).ok_or("the response is not a range of digests")?;
            }
            Ok(is_found)
        })
    }
}

/// Returns whether a line says that the wanted digest is in the list. A line has the rest of a digest, and how often
/// it was found: 0 times if it is padding. Returns `None` if the line is something else, such as a part of the login
/// page of a network.
fn found(line: &str, wanted: &str) -> Option<bool> {
    let (rest, count) = line.trim().split_once(':')?;
    let is_digest = rest.len() == wanted.len() && rest.bytes().all(|b| b.is_ascii_hexdigit());
    let count: u64 = is_digest.then(|| count.trim().parse().ok())??;
    Some(rest.eq_ignore_ascii_case(wanted) && count > 0)
}
