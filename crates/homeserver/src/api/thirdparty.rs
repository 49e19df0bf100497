//! Networks behind application services. This server does not look users and rooms of them up.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#third-party-networks>

use std::collections::BTreeMap;

use ruma::api::client::thirdparty::get_protocols;

use crate::{
    error::Result,
    http::{Call, Routes},
    services::AppState,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add_light(protocols)
}

async fn protocols(
    _: AppState,
    _: Call<get_protocols::v3::Request>,
) -> Result<get_protocols::v3::Response> {
    Ok(get_protocols::v3::Response::new(BTreeMap::new()))
}
