//! Secrets that all processes share, without a variable for them: each is made once, and kept in the database.
//!
//! They are not encrypted there, so store no secret in this way that alone would let somebody in.

use crate::database::{Database, on_pool};
use crate::error::Error;

/// The length of a secret: 256 bits.
const BYTES: usize = 32;

/// Returns the secret with this name. If several processes start at once, one of them makes it, and all get the same.
pub(crate) async fn shared_secret(database: &Database, name: &str) -> Result<Vec<u8>, Error> {
    let mut random = vec![0; BYTES];
    getrandom::fill(&mut random).map_err(|error| format!("no random numbers: {error}"))?;
    let insert = "INSERT INTO shared_secrets (name, secret) VALUES ($1, $2) \
                  ON CONFLICT (name) DO NOTHING";
    let select = "SELECT secret FROM shared_secrets WHERE name = $1";
    let secret = on_pool!(database, pool => {
        sqlx::query(insert).bind(name).bind(random).execute(pool).await?;
        sqlx::query_scalar(select).bind(name).fetch_one(pool).await?
    });
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::temporary::Temporary;

    #[tokio::test]
    async fn a_secret_is_made_once_and_another_name_has_another() {
        let temporary = Temporary::open("shared-secrets").await;
        let database = &temporary.database;
        let mut asked = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let database = database.clone();
            asked.spawn(async move { shared_secret(&database, "one").await.unwrap() });
        }
        let mut secrets = asked.join_all().await;
        secrets.dedup();
        let [secret] = &secrets[..] else {
            panic!("{} secrets", secrets.len())
        };
        assert_eq!(secret.len(), BYTES);
        let other = shared_secret(database, "other").await.unwrap();
        assert_ne!(secret, &other);
    }
}
