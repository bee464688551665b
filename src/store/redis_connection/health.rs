//! [`Health`]: the state of a connection, as far as the server's replies tell.

use std::collections::HashMap;

use redis::aio::ConnectionLike;
use redis::{ErrorKind, RedisError, RedisResult, ServerError, ServerErrorKind, Value};

/// The errors of a replica that was asked to write, or that has lost its primary.
const REPLICA: [&str; 2] = ["READONLY", "MASTERDOWN"];
/// The errors of a primary that accepts no writes, because it is loading its data, cannot write to
/// its disk, or has lost its replicas. Another server may have taken its place.
const UNWRITABLE: [&str; 3] = ["LOADING", "MISCONF", "NOREPLICAS"];

/// The state of a link, as far as replies tell. It only gets worse.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Health {
    Good,
    /// The next request should reconnect, as soon as the pause between attempts allows it.
    Over,
    /// The next request should reconnect, and no reply from this link should be used.
    Replica,
}

// === impl Health ===

impl Health {
    /// Reads an error of the driver.
    pub(super) fn of(error: &RedisError) -> Self {
        if error.is_io_error() || error.is_unrecoverable_error() {
            return Self::Over;
        }
        if error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly) {
            return Self::Replica;
        }
        let errors = error.clone().into_server_errors();
        let errors = errors.iter().flat_map(|errors| errors.iter());
        let told = errors.map(|(_, error)| Self::of_server(error));
        told.max().unwrap_or(Self::Good)
    }

    /// Reads the errors among replies. The replies to a transaction are one value.
    pub(super) fn told_by(values: &[Value]) -> Self {
        let told = values.iter().map(|value| match value {
            Value::ServerError(error) => Self::of_server(error),
            Value::Array(values) => {
                let told = values.iter().map(|value| match value {
                    Value::ServerError(error) => Self::of_server(error),
                    _ => Self::Good,
                });
                told.max().unwrap_or(Self::Good)
            }
            _ => Self::Good,
        });
        told.max().unwrap_or(Self::Good)
    }

    /// Reads the code of an error. Before version 7, the server reports an error inside a script in
    /// the text of another error.
    fn of_server(error: &ServerError) -> Self {
        let says = |codes: &[&str]| {
            codes.contains(&error.code())
                || error.details().is_some_and(|details| {
                    let mut codes = codes.iter();
                    codes.any(|code| details.contains(&format!("-{code} ")))
                })
        };
        if says(&REPLICA) {
            Self::Replica
        } else if says(&UNWRITABLE) {
            Self::Over
        } else {
            Self::Good
        }
    }
}

/// Fails if the server is a replica or does not respond. In a cluster every node is accepted,
/// because it redirects requests to the right one.
pub(crate) async fn expect_primary(connection: &mut impl ConnectionLike) -> RedisResult<()> {
    let said: HashMap<String, Value> = match redis::cmd("HELLO").query_async(connection).await {
        Ok(said) => said,
        // A proxy that does not know the command counts as a primary.
        Err(error) if Health::of(&error) == Health::Good => return Ok(()),
        Err(error) => return Err(error),
    };
    let says = |name: &str, word: &str| match said.get(name) {
        Some(Value::BulkString(text)) => text == word.as_bytes(),
        Some(Value::SimpleString(text)) => text == word,
        _ => false,
    };
    if says("role", "replica") && !says("mode", "cluster") {
        return Err(is_replica());
    }
    Ok(())
}

/// The error of a request whose server is a replica.
pub(super) fn is_replica() -> RedisError {
    RedisError::from((
        ErrorKind::Server(ServerErrorKind::ReadOnly),
        "the Redis server is a replica: use an address that leads to the primary",
    ))
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::Health;

    fn told(reply: &str) -> Health {
        let value = redis::parse_redis_value(reply.as_bytes()).unwrap();
        if let Value::ServerError(error) = &value {
            let error = error.clone().into();
            assert!(Health::of(&error) == Health::told_by(std::slice::from_ref(&value)));
        }
        Health::told_by(&[value])
    }

    #[test]
    fn errors_of_a_server_that_cannot_write_are_recognized() {
        for (reply, health) in [
            ("+OK\r\n", Health::Good),
            ("-ERR wrong number of arguments\r\n", Health::Good),
            ("-NOSCRIPT No matching script\r\n", Health::Good),
            ("-OOM command not allowed\r\n", Health::Good),
            ("-LOADING Redis is loading\r\n", Health::Over),
            ("-MISCONF Errors writing to disk\r\n", Health::Over),
            ("-NOREPLICAS Not enough good replicas\r\n", Health::Over),
            ("-READONLY You can't write\r\n", Health::Replica),
            ("-MASTERDOWN Link with MASTER is down\r\n", Health::Replica),
            // A transaction, and a script before version 7.
            (
                "*2\r\n+OK\r\n-READONLY You can't write\r\n",
                Health::Replica,
            ),
            (
                "-ERR Error running script (call to f_1): @user_script:5: @user_script: 5: \
                 -READONLY You can't write against a read only replica.\r\n",
                Health::Replica,
            ),
        ] {
            assert!(told(reply) == health, "{reply}");
        }
    }
}
