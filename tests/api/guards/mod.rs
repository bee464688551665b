//! Guards: as a layer, as an extractor and by hand.

mod agreement;
mod asking;
mod bad_input;
mod empty;
mod look;
mod scopes;
mod table;
mod ways;
