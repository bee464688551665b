//! [`Problems`]: the last errors of a ring in a file.

use std::sync::Arc;
#[cfg(feature = "tracing")]
use std::sync::{Mutex, PoisonError};

use arc_swap::ArcSwapOption;

use crate::error::ConfigError;

/// The error of the last read and the error of the last change, if they have failed. They are independent:
/// while a process with the lock hangs, the file can still be read.
#[derive(Default)]
pub(super) struct Problems {
    reading: ArcSwapOption<ConfigError>,
    changing: ArcSwapOption<ConfigError>,
    /// The error that was logged last.
    #[cfg(feature = "tracing")]
    logged: Mutex<Option<ConfigError>>,
}

// === impl Problems ===

impl Problems {
    pub(super) fn reading(&self) -> Option<ConfigError> {
        self.reading.load().as_deref().cloned()
    }

    pub(super) fn changing(&self) -> Option<ConfigError> {
        self.changing.load().as_deref().cloned()
    }

    pub(super) fn set_reading<T>(&self, result: &Result<T, ConfigError>) {
        self.reading
            .store(result.as_ref().err().cloned().map(Arc::new));
    }

    pub(super) fn set_changing<T>(&self, result: &Result<T, ConfigError>) {
        self.changing
            .store(result.as_ref().err().cloned().map(Arc::new));
    }

    /// Logs what is wrong now, if that has changed.
    #[cfg(feature = "tracing")]
    pub(super) fn log(&self, problem: Option<&ConfigError>) {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.as_ref() != problem {
            match problem {
                Some(problem) => {
                    tracing::warn!(
                        event = "key_ring_problem",
                        "{problem}; the known keys stay in use"
                    );
                }
                None => tracing::info!(event = "key_ring_recovered"),
            }
            *logged = problem.cloned();
        }
    }
}

/// Joins several errors into one.
pub(super) fn together(problems: impl IntoIterator<Item = ConfigError>) -> Option<ConfigError> {
    problems
        .into_iter()
        .reduce(|all, more| ConfigError::Invalid(format!("{all}; also, {more}")))
}
