//! [`Servers`]: the servers that the service uses.

use tokio::task::spawn_blocking;

use super::bucket::Bucket; // chapter: avatars
use super::need::Need;
use crate::support::Place;
use crate::support::redis::Redis;
use crate::support::smtp::Sink;
use crate::support::web::Web;

/// The servers that the service uses, except for the database.
pub(super) struct Servers {
    pub(super) redis: Option<Redis>,
    pub(super) mail: Sink,
    pub(super) sms: Web, // chapter: sms
    pub(super) breached: Web,
    pub(super) bucket: Bucket,   // chapter: avatars
    pub(super) bucket_port: u16, // chapter: avatars
}

// === impl Servers ===

impl Servers {
    /// Starts them. Returns `None` with a message if one is missing on this machine.
    pub(super) async fn start(need: Need) -> Option<Self> {
        let redis = match need {
            Need::Redis => Some(spawn_blocking(Redis::start).await.unwrap()?),
            _ => None,
        };
        let (bucket, bucket_port) = Bucket::start().await; // chapter: avatars
        Some(Self {
            redis,
            mail: Sink::start().await,
            sms: Web::start().await, // chapter: sms
            breached: Web::start().await,
            bucket,      // chapter: avatars
            bucket_port, // chapter: avatars
        })
    }

    /// Returns the port of the dependency, if it is reached through the network.
    pub(super) fn port(&self, need: Need, place: &Place) -> Option<u16> {
        match need {
            Need::Postgres => place.database_url.rsplit([':', '/']).nth(1)?.parse().ok(),
            Need::Sqlite => None,
            Need::Redis => self.redis.as_ref().map(Redis::port),
            Need::MailServer => Some(self.mail.address.port()),
            Need::SmsGateway => Some(self.sms.address.port()), // chapter: sms
            Need::Storage => Some(self.bucket_port),           // chapter: avatars
            Need::Breached => Some(self.breached.address.port()),
        }
    }

    /// Returns the variables that lead the service to its servers.
    pub(super) fn variables(&self, place: &Place) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("DATABASE_URL", place.database_url.clone()),
            ("SMTP_URL", self.mail.url()),
            ("BREACHED_PASSWORDS_URL", self.breached.url()),
        ];
        variables.extend(self.redis.iter().map(|redis| ("REDIS_URL", redis.url())));
        // chapter: sms {
        let sms = format!("http://account:token@{}", self.sms.address);
        variables.extend([("SMS_URL", sms), ("SMS_FROM", "+15550006789".to_owned())]);
        // chapter: sms }
        // chapter: avatars {
        let endpoint = format!("http://127.0.0.1:{}", self.bucket_port);
        variables.extend([
            ("STORAGE_URL", "s3://bucket/prefix".to_owned()),
            ("AWS_ENDPOINT_URL", endpoint),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_ACCESS_KEY_ID", "key".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
            ("AWS_REGION", "eu-central-1".to_owned()),
        ]);
        // chapter: avatars }
        variables
    }
}
