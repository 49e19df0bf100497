//! `/sync`.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#syncing>

use crate::{
    error::Result,
    http::{Call, Routes},
    rooms::present::Viewer,
    services::AppState,
    sync::v3,
};

mod state_after;

use state_after::{Request, Response};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(sync)
}

async fn sync(services: AppState, call: Call<Request>) -> Result<Response> {
    let viewer = Viewer::from(&call.caller);
    Ok(Response {
        sync: v3::answer(
            &services.sync,
            viewer,
            call.body.sync,
            call.facts.connection.as_ref(),
        )
        .await?,
        by_old_name: call.body.by_old_name,
    })
}
