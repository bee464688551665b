//! [`SqliteRevocations`]: the record of what is revoked, for any number of processes on one file.

use std::time::{SystemTime, UNIX_EPOCH};

use tower_jwt_auth::StoreError;
use tower_jwt_auth::revocation::{Revocation, RevocationQuery, RevocationStore, RevocationTarget};

use crate::Database;

/// Rows that have expired go with the next revocation, so many at a time.
const TIDY: &str = "DELETE FROM revocations WHERE (kind, issuer, id) IN \
    (SELECT kind, issuer, id FROM revocations WHERE until < unixepoch() LIMIT 100)";

/// The revocations in the database.
#[derive(Debug)]
pub(crate) struct SqliteRevocations {
    database: Database,
}

// === impl SqliteRevocations ===

impl SqliteRevocations {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }
}

impl RevocationStore for SqliteRevocations {
    async fn revoke(&self, revocation: &Revocation) -> Result<(), StoreError> {
        let (kind, id, cutoff) = match revocation.target() {
            RevocationTarget::Token(id) => ("token", id, 0),
            RevocationTarget::Session(id) => ("session", id, 0),
            RevocationTarget::Subject { subject, cutoff } => ("subject", subject, *cutoff),
            _ => return Err(StoreError::new("the table knows no such revocation")),
        };
        let statement = "INSERT INTO revocations (kind, issuer, id, cutoff, until) \
             VALUES (?, ?, ?, ?, ?) ON CONFLICT (kind, issuer, id) DO UPDATE SET \
             cutoff = max(cutoff, excluded.cutoff), until = max(until, excluded.until)";
        sqlx::query(statement)
            .bind(kind)
            .bind(revocation.issuer().unwrap_or_default())
            .bind(id)
            .bind(as_integer(cutoff))
            .bind(seconds_rounded_up(revocation.until()))
            .execute(self.database.pool())
            .await
            .map_err(StoreError::new)?;
        self.database.tidy(TIDY).await;
        Ok(())
    }

    async fn is_revoked(&self, query: &RevocationQuery<'_>) -> Result<bool, StoreError> {
        let statement = "SELECT EXISTS (SELECT 1 FROM revocations WHERE issuer = ?1 AND ( \
             (kind = 'token' AND id = ?2) OR \
             (kind = 'session' AND id = ?3) OR \
             (kind = 'subject' AND id = ?4 AND cutoff >= ?5)))";
        sqlx::query_scalar(statement)
            .bind(query.issuer().unwrap_or_default())
            .bind(query.token())
            .bind(query.session()) // NULL, where there is none, equals nothing
            .bind(query.subject())
            .bind(as_integer(query.issued_at()))
            .fetch_one(self.database.pool())
            .await
            .map_err(StoreError::new)
    }
}

/// SQLite's integers end at 2^63: as microseconds, in the year 294247.
fn as_integer(micros: u64) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX)
}

fn seconds_rounded_up(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    as_integer(since.as_secs()).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tower_jwt_auth::error::AuthErrorKind;
    use tower_jwt_auth::keys::Algorithm;
    use tower_jwt_auth::{SigningKey, TokenIssuer};

    use super::*;

    /// A store in a file of its own, which is removed at the end.
    struct File(std::path::PathBuf);

    impl File {
        fn new(name: &str) -> Self {
            let name = format!("starter-{name}-{}.sqlite", std::process::id());
            Self(std::env::temp_dir().join(name))
        }

        async fn open(&self) -> SqliteRevocations {
            let url = format!("sqlite:{}", self.0.display());
            SqliteRevocations::new(Database::open(&url).await.unwrap())
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            for end in ["", "-wal", "-shm"] {
                let path = format!("{}{end}", self.0.display());
                let _ = std::fs::remove_file(path);
            }
        }
    }

    fn issuer(name: &str, store: SqliteRevocations) -> TokenIssuer {
        let key = SigningKey::generate(Algorithm::HS256).unwrap();
        let builder = TokenIssuer::builder(key).issuer(name).audience("api");
        builder.revocation(store).build().unwrap()
    }

    async fn is_revoked(tokens: &TokenIssuer, token: &str) -> bool {
        match tokens.verifier().verify(token).await {
            Ok(_) => false,
            Err(error) => {
                assert_eq!(error.kind(), AuthErrorKind::Revoked);
                true
            }
        }
    }

    #[tokio::test]
    async fn each_kind_of_revocation_hits_what_it_names_and_nothing_else() {
        let file = File::new("kinds");
        let tokens = issuer("a", file.open().await);
        let token = |sub: &str, sid: &str| tokens.access(sub).session(sid).issue().unwrap();
        let (one, same_session, other) = (token("ada", "1"), token("ada", "1"), token("eve", "2"));

        let verified = tokens.verifier().verify(&one).await.unwrap();
        tokens.revoke(&verified).await.unwrap();
        tokens.revoke(&verified).await.unwrap();
        assert!(is_revoked(&tokens, &one).await);
        assert!(!is_revoked(&tokens, &same_session).await);

        tokens.revoke_session("1").await.unwrap();
        assert!(is_revoked(&tokens, &same_session).await);

        let before = token("ada", "3");
        tokens.revoke_subject("ada").await.unwrap();
        let after = token("ada", "3");
        assert!(is_revoked(&tokens, &before).await);
        assert!(!is_revoked(&tokens, &after).await);
        assert!(!is_revoked(&tokens, &other).await);

        // An earlier cut-off that comes late changes nothing.
        let now = SystemTime::now();
        let (long_ago, until) = (now - Duration::from_secs(9), now + Duration::from_secs(9));
        let late = Revocation::subject(Some("a"), "ada", long_ago, until);
        file.open().await.revoke(&late).await.unwrap();
        assert!(is_revoked(&tokens, &before).await);
    }

    #[tokio::test]
    async fn another_issuer_may_use_the_same_ids() {
        let file = File::new("issuers");
        let (a, b) = (
            issuer("a", file.open().await),
            issuer("b", file.open().await),
        );
        let [of_a, of_b] = [&a, &b].map(|one| one.access("ada").session("1").issue().unwrap());
        a.revoke_session("1").await.unwrap();
        a.revoke_subject("ada").await.unwrap();
        assert!(is_revoked(&a, &of_a).await);
        assert!(!is_revoked(&b, &of_b).await);
    }
}
