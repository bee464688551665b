//! The key for trying things out: made once, kept in a file that only its owner can read.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::{env, process};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tower_jwt_auth::config::AuthConfig;

use crate::Error;

const KEY_FILE: &str = "development.key";
const KEY_BYTES: usize = 48;

/// The configuration with the key in this folder, which is made if there is none.
pub(crate) fn config(folder: &Path) -> Result<AuthConfig, Error> {
    data_folder(folder)?;
    let path = folder.join(KEY_FILE);
    let shown = path.display().to_string();
    if !path.try_exists()? {
        make_key(folder, &path).map_err(|error| format!("cannot write {shown}: {error}"))?;
    }
    refuse_shared_key(&path)?;
    eprintln!(
        "starter: WARNING: no JWT_* variable is set, so tokens are signed with the development \
         key in {shown}.\nstarter: WARNING: whoever reads that file can be any user. Before others \
         reach this service, set JWT_SECRET, JWT_ISSUER and JWT_AUDIENCE: see .env.example."
    );
    let fixed = [
        ("JWT_SECRET_FILE".to_owned(), shown),
        ("JWT_ISSUER".to_owned(), "http://localhost".to_owned()),
        ("JWT_AUDIENCE".to_owned(), "starter".to_owned()),
    ];
    let costs = env::vars_os().filter_map(|(name, value)| {
        let name = name
            .into_string()
            .ok()
            .filter(|name| name.starts_with("PASSWORD_"))?;
        Some((name, value.into_string().ok()?))
    });
    Ok(AuthConfig::from_vars(fixed.into_iter().chain(costs))?)
}

/// Makes the folder for what the service keeps: closed to others, and invisible to git.
pub(crate) fn data_folder(folder: &Path) -> Result<(), Error> {
    let made = || -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder)?;
        let ignore = folder.join(".gitignore");
        if !ignore.try_exists()? {
            fs::write(ignore, "*\n")?;
        }
        Ok(())
    };
    made().map_err(|error| format!("cannot make the folder {}: {error}", folder.display()).into())
}

/// Writes a new key under another name first: nobody ever reads half a key, and of two programs
/// that start at once both get the key of one.
fn make_key(folder: &Path, path: &Path) -> io::Result<()> {
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key)?;
    let draft = folder.join(format!("{KEY_FILE}.{}", process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    file.write_all(URL_SAFE_NO_PAD.encode(key).as_bytes())?;
    file.sync_all()?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

#[cfg(unix)]
fn refuse_shared_key(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;
    if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
        let shown = path.display();
        return Err(format!("others can read the key: run `chmod 600 {shown}`").into());
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_shared_key(_: &Path) -> Result<(), Error> {
    Ok(())
}
