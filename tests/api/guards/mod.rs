//! Guards: as a layer, as an extractor and by hand.

mod agreement;
mod asking;
mod bad_input;
mod empty;
mod error_responses;
mod scopes;
mod table;
mod ways;
