//! The homeserver's types and pure functions that need no store: what a request may ask for, which events pass a filter, whom push
//! rules notify, what a command line means.
//!
//! Nothing here does I/O, reads a clock or knows the database, so all of it can be fuzzed and tested in milliseconds. Everything
//! that comes in was written by people whom nobody trusts: no input panics, and work has a limit that is known before.
//!
//! - [`refusal`]: how a request is refused; [`limits`]: every limit with a name.
//! - [`position`], [`viewer`]: the order of everything, and who looks at it.
//! - [`json`]: whether a body may be passed on; [`filter`]: which events a client wants.
//! - [`words`]: what search finds of a text.
//! - [`push`]: push rules; [`sliding`]: requests of sliding sync; [`admin`]: the commands of admins.

pub mod admin;
pub mod filter;
pub mod json;
pub mod limits;
pub mod position;
pub mod push;
pub mod refusal;
pub mod sliding;
pub mod viewer;
pub mod words;

pub use position::Position;
pub use refusal::Refusal;
pub use viewer::Viewer;
