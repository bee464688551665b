//! The SQL statements, most of which work in SQLite and in PostgreSQL.
//!
//! All values are passed as parameters, which are `$n` in both databases.

/// Stores a key. The parameters are its columns.
pub(super) const INSERT: &str = "INSERT INTO jwt_api_keys \
     (id, owner, secret_digest, label, payload, created_at, expires_at, last_used_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

/// Counts the keys of the owner `$1`.
pub(super) const COUNT: &str = "SELECT count(*) FROM jwt_api_keys WHERE owner = $1";

/// Deletes the keys of the owner `$1` that have expired by `$2`.
#[cfg(feature = "sqlite")]
pub(super) const DELETE_EXPIRED_OF_SQLITE: &str =
    "DELETE FROM jwt_api_keys WHERE owner = $1 AND expires_at <= $2";

/// Deletes the keys of the owner `$1` that have expired by `$2`. The rows are locked in the order in which
/// `REVOKE_OWNER_POSTGRES` locks them.
#[cfg(feature = "postgres")]
pub(super) const DELETE_EXPIRED_OF_POSTGRES: &str = "WITH over AS MATERIALIZED \
     (SELECT id FROM jwt_api_keys WHERE owner = $1 AND expires_at <= $2 ORDER BY id FOR UPDATE) \
     DELETE FROM jwt_api_keys USING over WHERE jwt_api_keys.id = over.id";

/// Finds the key `$1`.
pub(super) const FIND: &str = "SELECT id, owner, secret_digest, label, payload, created_at, \
     expires_at, last_used_at FROM jwt_api_keys WHERE id = $1";

/// Lists the keys of the owner `$1`, the newest first.
pub(super) const LIST: &str = "SELECT id, owner, secret_digest, label, payload, created_at, \
     expires_at, last_used_at FROM jwt_api_keys WHERE owner = $1 \
     ORDER BY created_at DESC, id DESC LIMIT 1000";

/// Deletes the key `$1`, if `$2` is at least 1.
pub(super) const REVOKE_KEY: &str = "DELETE FROM jwt_api_keys WHERE id = $1 AND $2 > 0 \
     RETURNING id, owner";

/// Deletes the key `$1` if its owner is `$3`, and if `$2` is at least 1.
pub(super) const REVOKE_KEY_OF: &str = "DELETE FROM jwt_api_keys WHERE id = $1 AND $2 > 0 \
     AND owner = $3 RETURNING id, owner";

/// Deletes at most `$2` keys of the owner `$1`.
#[cfg(feature = "sqlite")]
pub(super) const REVOKE_OWNER_SQLITE: &str = "DELETE FROM jwt_api_keys WHERE id IN \
     (SELECT id FROM jwt_api_keys WHERE owner = $1 ORDER BY id LIMIT $2) RETURNING id, owner";

/// Deletes at most `$2` keys of the owner `$1`. All nodes lock the rows in the same order.
#[cfg(feature = "postgres")]
pub(super) const REVOKE_OWNER_POSTGRES: &str = "WITH named AS MATERIALIZED \
     (SELECT id FROM jwt_api_keys WHERE owner = $1 ORDER BY id LIMIT $2 FOR UPDATE) \
     DELETE FROM jwt_api_keys USING named WHERE jwt_api_keys.id = named.id \
     RETURNING jwt_api_keys.id, jwt_api_keys.owner";

/// Records that the key `$1` was used at `$2`.
pub(super) const USED: &str = "UPDATE jwt_api_keys SET last_used_at = $2 \
     WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)";

/// Deletes at most `$2` keys that have expired by `$1`.
#[cfg(feature = "sqlite")]
pub(super) const CLEAN_UP_SQLITE: &str = "DELETE FROM jwt_api_keys WHERE id IN \
     (SELECT id FROM jwt_api_keys WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";

/// Deletes at most `$2` keys that have expired by `$1`. Several nodes may clean up at once: each skips
/// the rows that another has locked. A node whose clock is far ahead deletes no key that is still valid by the
/// clock of the server, or would be in a day.
#[cfg(feature = "postgres")]
pub(super) const CLEAN_UP_POSTGRES: &str = "WITH over AS MATERIALIZED \
     (SELECT id FROM jwt_api_keys WHERE expires_at <= \
             LEAST($1, (extract(epoch FROM now() + interval '1 day') * 1000000)::bigint) \
         ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED) \
     DELETE FROM jwt_api_keys USING over WHERE jwt_api_keys.id = over.id";
