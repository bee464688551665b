//! [`Temporary`]: a database for a unit test.

use std::fs;
use std::path::PathBuf;

use super::Database;

/// A SQLite database in a folder of its own, which is removed with it.
pub(crate) struct Temporary {
    pub(crate) database: Database,
    folder: PathBuf,
}

// === impl Temporary ===

impl Temporary {
    /// Opens a new database. The name must be that of no other test.
    pub(crate) async fn open(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let url = format!("sqlite:{}", folder.join("a.sqlite").display());
        let database = Database::open(&url).await.unwrap();
        Self { database, folder }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
