//! [`Storage`]: files in a folder or in a cloud: the avatars, and the public keys for other services.
//!
//! Belongs to the chapter `avatars`. To remove both: `./chapters remove avatars` (see `docs/removing.md`).

mod publish;

pub(crate) use publish::Publisher;
pub use publish::publish_keys;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    Attribute, Attributes, ObjectStore, ObjectStoreExt, ObjectStoreScheme, PutOptions, RetryConfig,
};
use reqwest::Url;

use crate::config::data_folder;
use crate::config::variable;
use crate::error::Error;
use crate::error::with_causes;

/// How long one request to a cloud may take.
const REQUEST_TIMEOUT: &str = "2 seconds";
const TIMEOUT: Duration = Duration::from_secs(4);
/// How often a failed request is sent again.
const RETRIES: usize = 2;

/// Where files are stored, and whether the public keys are published there.
#[derive(Debug, Clone)]
pub struct StorageSettings {
    /// `s3://bucket/prefix`, `gs://...`, `az://...`, or `file:///folder`. The credentials come from the
    /// variables of the provider, or from the machine.
    pub url: Option<String>,
    /// The folder that is used without a URL.
    pub folder: PathBuf,
    /// The path of the published JWK set, if it should be published.
    pub publish_jwks: Option<String>,
}

/// The stored files. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    store: Arc<dyn ObjectStore>,
    /// Whether a file can be stored with its content type, which a folder cannot do.
    has_attributes: bool,
}

/// Why a file could not be read or written: the storage is unavailable.
#[derive(Debug)]
pub(crate) enum StorageError {
    Failed(object_store::Error),
    TimedOut,
}

// === impl StorageSettings ===

impl StorageSettings {
    pub(crate) fn from_env(folder: PathBuf) -> Result<Self, Error> {
        Ok(Self {
            url: variable("STORAGE_URL")?,
            folder,
            publish_jwks: variable("PUBLISH_JWKS")?,
        })
    }
}

// === impl Storage ===

/// Builds a cloud store from the variables of its provider.
macro_rules! cloud {
    ($Builder:ty, $url:expr) => {{
        let builder = <$Builder>::from_env()
            .with_url($url.as_str())
            // In addition to what the variables say, such as `AWS_ALLOW_HTTP`.
            .with_config("timeout".parse()?, REQUEST_TIMEOUT)
            .with_retry(RetryConfig {
                max_retries: RETRIES,
                retry_timeout: TIMEOUT,
                ..RetryConfig::default()
            });
        let built = builder.build();
        Arc::new(built.map_err(|error| format!("STORAGE_URL: {error}"))?)
    }};
}

impl Storage {
    /// Opens the storage. It sends no request yet.
    pub(crate) fn open(settings: &StorageSettings) -> Result<Self, Error> {
        let Some(text) = &settings.url else {
            return Self::in_folder(&settings.folder);
        };
        let url = Url::parse(text).map_err(|_| "STORAGE_URL is not a URL")?;
        let (scheme, prefix) = ObjectStoreScheme::parse(&url).map_err(|_| wrong_scheme())?;
        let store: Arc<dyn ObjectStore> = match scheme {
            ObjectStoreScheme::Local => {
                let folder = url.to_file_path();
                return Self::in_folder(
                    &folder.map_err(|()| "STORAGE_URL does not name a folder")?,
                );
            }
            ObjectStoreScheme::AmazonS3 => cloud!(AmazonS3Builder, url),
            ObjectStoreScheme::GoogleCloudStorage => cloud!(GoogleCloudStorageBuilder, url),
            ObjectStoreScheme::MicrosoftAzure => cloud!(MicrosoftAzureBuilder, url),
            _ => return Err(wrong_scheme().into()),
        };
        Ok(Self {
            store: Arc::new(PrefixStore::new(store, prefix)),
            has_attributes: true,
        })
    }

    fn in_folder(folder: &std::path::Path) -> Result<Self, Error> {
        data_folder(folder)?;
        let store = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true);
        Ok(Self {
            store: Arc::new(store),
            has_attributes: false,
        })
    }

    /// Writes a file, completely or not at all.
    pub(crate) async fn put(
        &self,
        path: &Path,
        content: Bytes,
        content_type: &'static str,
        cache_control: String,
    ) -> Result<(), StorageError> {
        let mut options = PutOptions::default();
        if self.has_attributes {
            options.attributes = Attributes::from_iter([
                (Attribute::ContentType, content_type.to_owned()),
                (Attribute::CacheControl, cache_control),
            ]);
        }
        let put = self.store.put_opts(path, content.into(), options);
        in_time(put).await.map(drop)
    }

    /// Returns the file, or `None` if there is none.
    pub(crate) async fn get(&self, path: &Path) -> Result<Option<Bytes>, StorageError> {
        let get = async { self.store.get(path).await?.bytes().await };
        match in_time(get).await {
            Err(StorageError::Failed(object_store::Error::NotFound { .. })) => Ok(None),
            found => found.map(Some),
        }
    }

    /// Removes the file, if there is one.
    pub(crate) async fn delete(&self, path: &Path) -> Result<(), StorageError> {
        match in_time(self.store.delete(path)).await {
            Err(StorageError::Failed(object_store::Error::NotFound { .. })) => Ok(()),
            done => done,
        }
    }
}

fn wrong_scheme() -> &'static str {
    "STORAGE_URL must start with s3://, gs://, az:// or file://"
}

async fn in_time<T>(
    work: impl Future<Output = object_store::Result<T>>,
) -> Result<T, StorageError> {
    match tokio::time::timeout(TIMEOUT, work).await {
        Ok(done) => done.map_err(StorageError::Failed),
        Err(_) => Err(StorageError::TimedOut),
    }
}

// === impl StorageError ===

impl std::fmt::Display for StorageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Failed(error) => f.write_str(&with_causes(error)),
            Self::TimedOut => f.write_str("the storage has not responded in time"),
        }
    }
}

impl std::error::Error for StorageError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(url: &str) -> Result<Storage, String> {
        let settings = StorageSettings {
            url: Some(url.to_owned()),
            folder: PathBuf::new(),
            publish_jwks: None,
        };
        Storage::open(&settings).map_err(|error| error.to_string())
    }

    #[test]
    fn each_cloud_has_its_scheme() {
        assert!(open("s3://bucket/prefix").unwrap().has_attributes);
        assert!(open("gs://bucket/prefix").unwrap().has_attributes);
        for (url, said) in [
            // The URL does not contain the account.
            ("az://container/prefix", "STORAGE_URL: "),
            ("https://example.com/x", "must start with"),
            ("ftp://example.com/x", "must start with"),
            ("no url", "is not a URL"),
        ] {
            let error = open(url).unwrap_err();
            assert!(error.contains(said), "{url}: {error}");
        }
    }
}
