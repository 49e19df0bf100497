//! What every layered configuration of this program is made of.
//!
//! - [`Layer`]: one source of values (a file, an environment variable, an option) with its name, so that an error can say where a
//!   value stands.
//! - [`Problem`]: one thing that is wrong, with its key, the source, and how to fix it. Made from figment's errors, too.
//! - [`check_log_filter`]: whether a filter of the log says what it means.
//! - [`nearest`]: which known key a misspelled one may mean.
//! - [`Secret`]: text that no log, error or `Debug` shows.

mod layer;
mod log_filter;
mod problem;
pub mod secret;
mod suggestion;

pub use layer::Layer;
pub use log_filter::check_log_filter;
pub use problem::{Problem, describe, expected, join};
pub use secret::Secret;
pub use suggestion::{nearest, quoted};
