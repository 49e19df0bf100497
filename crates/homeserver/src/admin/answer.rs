//! What the server says in rooms.

pub(super) use homeserver_model::admin::answer::{block, code_block, contents, list, replies};

use crate::error::Error;

/// What an error says.
#[allow(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
pub(super) fn error_text(error: Error) -> String {
    error.to_string()
}
