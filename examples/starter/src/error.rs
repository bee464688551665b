//! [`Error`]: why the program cannot start, and how errors are shown with their causes.

use std::error::Error as StdError;
use std::iter;

/// Why the program cannot start. The operator reads its text.
pub type Error = Box<dyn StdError + Send + Sync>;

/// Returns an error and its causes as text, for the log or the operator.
pub(crate) fn with_causes(error: &(dyn StdError + 'static)) -> String {
    let chain = iter::successors(Some(error), |&error| error.source());
    chain
        .map(ToString::to_string)
        .fold(String::new(), |told, text| match told.as_str() {
            "" => text,
            // Some errors repeat their cause.
            told if told.contains(&text) => told.to_owned(),
            told => format!("{told}: {text}"),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_is_shown_once() {
        let refused = || std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "refused");
        assert_eq!(with_causes(&refused()), "refused");
        let error = tower_jwt_auth::store::StoreError::new(refused());
        assert_eq!(with_causes(&error), "the store is unavailable: refused");
        let error = sqlx::Error::Io(refused());
        assert!(
            error.to_string().ends_with(": refused"),
            "the driver includes the cause"
        );
        assert_eq!(with_causes(&error), error.to_string());
    }
}
