//! [`Error`]: why the program cannot start, and how errors are told with what caused them.

use std::error::Error as StdError;
use std::iter;

/// Why the program cannot start; its text is what the operator reads.
pub type Error = Box<dyn StdError + Send + Sync>;

/// An error and its causes, for the log or the operator.
pub(crate) fn with_causes(error: &(dyn StdError + 'static)) -> String {
    let chain = iter::successors(Some(error), |&error| error.source());
    let texts: Vec<_> = chain.map(ToString::to_string).collect();
    texts.join(": ")
}
