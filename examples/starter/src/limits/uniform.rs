//! Responses that take the same time, whatever happened.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// More time than the work for any of these responses takes. An imported bcrypt hash is slower than one of
/// ours, and writing a row is slower than not writing it.
const STEP: Duration = Duration::from_millis(250);

/// Waits until 250 ms after the start, or, if the work took longer, until the next multiple of 250 ms.
pub(crate) async fn end_of_step(start: Instant) {
    let steps = start.elapsed().as_nanos() / STEP.as_nanos() + 1;
    sleep_until(start + STEP * u32::try_from(steps).unwrap_or(u32::MAX)).await;
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_of_any_length_ends_on_a_step() {
        for (work, end) in [(0, 250), (120, 250), (260, 500)] {
            let start = Instant::now();
            sleep(Duration::from_millis(work)).await;
            end_of_step(start).await;
            assert_eq!(start.elapsed(), Duration::from_millis(end));
        }
    }
}
