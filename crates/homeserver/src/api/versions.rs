//! What this server speaks.

use std::collections::BTreeMap;

use ruma::api::client::discovery::get_supported_versions;

use crate::{
    error::Result,
    http::{Call, Routes},
    services::AppState,
    software::FEATURES,
};

/// The versions of the specification whose endpoints this server has.
const VERSIONS: &[&str] = &[
    "r0.6.1", "v1.1", "v1.2", "v1.3", "v1.4", "v1.5", "v1.6", "v1.7", "v1.8", "v1.9", "v1.10",
    "v1.11", "v1.12", "v1.13", "v1.14", "v1.15",
];

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add_light(supported)
}

async fn supported(
    _: AppState,
    _: Call<get_supported_versions::Request>,
) -> Result<get_supported_versions::Response> {
    let mut response = get_supported_versions::Response::new(
        VERSIONS.iter().map(|&version| version.to_owned()).collect(),
    );
    response.unstable_features = FEATURES
        .iter()
        .map(|&name| (name.to_owned(), true))
        .collect::<BTreeMap<_, _>>();
    Ok(response)
}
