//! The keys for development: a key ring that is made once, in a file that only its owner can read.

use std::fs::{self, DirBuilder};
use std::path::Path;
use std::{env, io};

use tower_jwt_auth::config::AuthConfig;

use crate::SERVICE;
use crate::error::Error;
use crate::operations::say;

/// The file of the key ring. The crate manages it, as in production.
const KEY_FILE: &str = "keys.json";

/// Returns a configuration with the keys in this folder. Makes the keys if there are none.
pub(crate) fn config(folder: &Path) -> Result<AuthConfig, Error> {
    data_folder(folder)?;
    let shown = folder.join(KEY_FILE).display().to_string();
    say(&format!(
        "{SERVICE}: WARNING: no JWT_* variable is set, so tokens are signed with the development \
         key in {shown}.\n{SERVICE}: WARNING: whoever reads that file can act as any user. Before \
         others can reach this service, set JWT_KEY_RING_FILE, JWT_ROTATE_KEYS, JWT_ISSUER and JWT_AUDIENCE: \
         see .env.example."
    ));
    let fixed = [
        ("JWT_KEY_RING_FILE".to_owned(), shown),
        ("JWT_ROTATE_KEYS".to_owned(), "EdDSA".to_owned()),
        ("JWT_ISSUER".to_owned(), "http://localhost".to_owned()),
        ("JWT_AUDIENCE".to_owned(), SERVICE.to_owned()),
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

/// Makes the folder for data, which other users cannot read and git ignores.
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
    made().map_err(|error| format!("cannot create the folder {}: {error}", folder.display()).into())
}
