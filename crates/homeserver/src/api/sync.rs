//! `/sync`.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#syncing>

use ruma::api::client::sync::sync_events::v3::{Request, Response};

use crate::{
    error::Result,
    http::{Call, Routes},
    rooms::present::Viewer,
    server::Server,
    sync::v3,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(sync)
}

async fn sync(server: Server, call: Call<Request>) -> Result<Response> {
    let viewer = Viewer::from(&call.caller);
    v3::answer(&server, viewer, call.body).await
}
