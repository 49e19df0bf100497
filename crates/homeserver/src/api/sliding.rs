//! Sliding sync.
//!
//! Spec: <https://github.com/matrix-org/matrix-spec-proposals/pull/4186>

use ruma::api::client::sync::sync_events::v5;

use crate::{
    error::Result,
    http::{Call, Routes},
    services::AppState,
    sync::sliding,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add_waiting(sync)
}

async fn sync(services: AppState, call: Call<v5::Request>) -> Result<v5::Response> {
    let (bytes, connection) = (&call.facts.bytes, call.facts.connection.as_ref());
    sliding::answer(&services.sync, &call.caller, call.body, bytes, connection).await
}
