//! [`MailFolder`]: writes each message to a file that any mail program can open, for development.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::UNIX_EPOCH;

use super::{Mailer, NotSent, Sending};
use crate::config::data_folder;
use crate::error::Error;

pub(crate) struct MailFolder(PathBuf);

// === impl MailFolder ===

impl MailFolder {
    pub(crate) fn new(folder: &Path) -> Result<Self, Error> {
        data_folder(folder)?;
        Ok(Self(folder.to_owned()))
    }
}

impl Mailer for MailFolder {
    fn send(&self, message: lettre::Message) -> Sending<'_> {
        let (message, folder) = (message.formatted(), self.0.clone());
        Box::pin(async move {
            let written =
                tokio::task::spawn_blocking(move || write_file(&folder, "eml", &message)).await;
            match written.map_err(io::Error::other).flatten() {
                Ok(path) => {
                    // Logs where the message is, and not its text, which may contain a token.
                    tracing::info!(file = %path.display(), "email written");
                    Ok(())
                }
                Err(error) => Err(NotSent::for_now(error)),
            }
        })
    }
}

/// Writes a file that only its owner can read. It has a temporary name until it is complete, so that nobody
/// reads half a message.
pub(crate) fn write_file(folder: &Path, ending: &str, message: &[u8]) -> io::Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let time = UNIX_EPOCH.elapsed().unwrap_or_default().as_millis();
    let file = format!("{time}-{}-{count:05}.{ending}", process::id());
    let (draft, path) = (folder.join(format!(".{file}")), folder.join(file));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&draft)?.write_all(message)?;
    fs::rename(draft, &path)?;
    Ok(path)
}
