//! How far an application service has been served, as it is stored.

use serde::{Deserialize, Serialize};

use homeserver_model::Position;

/// How far an application service has been served.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TransactionProgress {
    /// Everything up to here has been delivered, or was not meant for it.
    pub served: Position,
    /// The end of the transaction that is on its way: it is sent again with the same id until it is answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sending: Option<Position>,
    /// How many transactions were delivered.
    #[serde(default)]
    pub delivered: u64,
}
