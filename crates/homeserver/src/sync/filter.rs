//! What the filter of a sync lets through, besides events.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#filtering>

pub use homeserver_model::filter::{wants_in_room, wants_room};
use ruma::{UserId, api::client::filter::FilterDefinition};

use crate::{
    error::{Error, Result},
    store::{Store, tables},
};

/// The filter that a user stored under this id. 400 if there is none.
pub fn stored(store: &Store, user: &UserId, id: &str) -> Result<FilterDefinition> {
    let stored = store
        .get::<tables::Filters>((user, id))?
        .ok_or_else(|| Error::invalid("There is no filter with this id"))?;
    Ok(serde_json::from_value(stored)?)
}
