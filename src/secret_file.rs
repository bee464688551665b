//! [`read`]: reads a file of keys, unless other users may read its secrets or replace its keys. Every such
//! file is read here.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use zeroize::Zeroizing;

/// The largest file that is read, in bytes.
pub(crate) const MAX_BYTES: usize = 1024 * 1024;

/// What a file contains, which determines who may read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// Its owner and its group may read it, and only its owner may write it.
    Secret,
    /// Everybody may read it, and only its owner may write it.
    #[cfg_attr(not(unix), allow(dead_code))]
    Public,
}

/// The reason why a file was not read. The text completes a sentence that begins with the file's name.
#[derive(Debug)]
pub(crate) struct NotRead(String);

// === impl Content ===

impl Content {
    /// Returns the permission bits that such a file must not have.
    #[cfg(unix)]
    fn forbidden(self) -> u32 {
        match self {
            Self::Secret => 0o027,
            Self::Public => 0o022,
        }
    }
}

// === impl NotRead ===

impl NotRead {
    fn failed(error: &io::Error) -> Self {
        #[cfg(unix)]
        if error.kind() == io::ErrorKind::PermissionDenied {
            let user = rustix::process::geteuid().as_raw();
            return Self(format!(
                "cannot be read by the user {user}, who runs this service: {error}; give the file to that \
                 user, or to its group with the mode 0440. {MOUNTS}"
            ));
        }
        if error.kind() == io::ErrorKind::InvalidData {
            let cure = "convert a key in DER to PEM, and write a binary secret as base64";
            return Self(format!("is not UTF-8 text: {cure}"));
        }
        Self(format!("cannot be read: {error}"))
    }
}

impl fmt::Display for NotRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads the whole file. Fails if its mode gives other users too many permissions for its content.
pub(crate) fn read(path: &Path, content: Content) -> Result<Zeroizing<String>, NotRead> {
    let file = File::open(path).map_err(|error| NotRead::failed(&error))?;
    let about = file.metadata().map_err(|error| NotRead::failed(&error))?;
    if about.is_dir() {
        return Err(NotRead("is a folder: name the file in it".to_owned()));
    }
    #[cfg(unix)]
    check_mode(&file, &about, content)?;
    #[cfg(not(unix))]
    let _ = content;
    if about.len() > MAX_BYTES as u64 {
        return Err(NotRead(
            "is larger than 1 MiB, so it is not a file of keys: name another one, or remove the keys that are not \
             needed"
                .to_owned(),
        ));
    }
    // The buffer has its full size from the start: growing it would leave copies of the secret behind.
    let room = usize::try_from(about.len()).unwrap_or_default() + 1;
    let mut text = Zeroizing::new(String::with_capacity(room));
    file.take(MAX_BYTES as u64)
        .read_to_string(&mut text)
        .map_err(|error| NotRead::failed(&error))?;
    Ok(text)
}

/// What to do if the mount determines the mode and the owner.
#[cfg(unix)]
const MOUNTS: &str = "For a mounted secret, set this in the mount: in Kubernetes by `defaultMode: 0400` of the \
                      volume, and `fsGroup` of the pod where the service does not run as root; for a Docker \
                      secret by its `mode: 0400` and `uid`; with systemd by `LoadCredential=`; for a file of the \
                      host, on the host";

/// Checks the opened file, to which any symbolic links have led.
#[cfg(unix)]
fn check_mode(file: &File, about: &std::fs::Metadata, content: Content) -> Result<(), NotRead> {
    use std::os::unix::fs::MetadataExt as _;
    let mode = about.mode() & 0o777;
    if mode & content.forbidden() == 0 {
        return Ok(());
    }
    let (danger, right) = match content {
        Content::Secret if mode & 0o022 == 0 => ("read the secrets in it", "600"),
        Content::Secret => ("read or replace the secrets in it", "600"),
        Content::Public => ("replace the keys in it", "644"),
    };
    let me = rustix::process::geteuid();
    let cure = if is_read_only(file) {
        format!("It is on a read-only mount, so that `chmod` cannot fix it. {MOUNTS}")
    } else if !me.is_root() && me.as_raw() != about.uid() {
        let owner = about.uid();
        format!("It belongs to the user {owner}: only that user can `chmod {right}` it. {MOUNTS}")
    } else {
        format!("`chmod {right}` it")
    };
    Err(NotRead(format!(
        "has the mode 0{mode:03o}, so that other users can {danger}. {cure}"
    )))
}

/// Whether the file is on a read-only mount. If that cannot be determined, it counts as writable.
#[cfg(unix)]
fn is_read_only(file: &File) -> bool {
    use rustix::fs::StatVfsMountFlags;
    rustix::fs::fstatvfs(file).is_ok_and(|about| about.f_flag.contains(StatVfsMountFlags::RDONLY))
}
