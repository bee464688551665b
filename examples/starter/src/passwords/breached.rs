//! [`Breached`]: whether a password is known from a breach, without telling anybody the password.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sha1::{Digest, Sha1};

use crate::error::Error;
use crate::http;

/// How long a registration waits for the answer, in the worst case.
const TIMEOUT: Duration = Duration::from_secs(2);
/// More than any range has: about a thousand lines, and the padding.
const MAX_BYTES: usize = 1024 * 1024;

pub(crate) type Asking<'a> = Pin<Box<dyn Future<Output = Result<bool, Error>> + Send + 'a>>;

/// A place that knows passwords from breaches.
pub(crate) trait Breached: Send + Sync {
    fn contains<'a>(&'a self, password: &'a str) -> Asking<'a>;
}

/// The range API of Have I Been Pwned, there or at a copy of it. It is told the first 20 bits of
/// the SHA-1, which hundreds of passwords share (k-anonymity), and the length of its answer is
/// hidden by padding.
struct RangeApi {
    client: reqwest::Client,
    url: String,
}

/// The API at this URL; nothing where there is none.
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
            Ok(answer.lines().any(|line| found(line, wanted)))
        })
    }
}

/// A line is the rest of the digest, and how often it was found; padding was found 0 times.
fn found(line: &str, wanted: &str) -> bool {
    let Some((rest, count)) = line.trim().split_once(':') else {
        return false;
    };
    rest.eq_ignore_ascii_case(wanted) && count.trim() != "0"
}
