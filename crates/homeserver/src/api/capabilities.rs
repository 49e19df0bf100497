//! What this server lets its users do.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#capabilities-negotiation>

use ruma::api::client::discovery::get_capabilities::{
    self,
    v3::{
        Capabilities, ChangePasswordCapability, GetLoginTokenCapability, ProfileFieldsCapability,
        RoomVersionStability, RoomVersionsCapability, ThirdPartyIdChangesCapability,
    },
};

use crate::{
    config::ROOM_VERSIONS,
    error::Result,
    http::{Call, Routes},
    rooms::admin_room,
    services::AppState,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(capabilities)
}

async fn capabilities(
    services: AppState,
    call: Call<get_capabilities::v3::Request>,
) -> Result<get_capabilities::v3::Response> {
    let person = !call.caller.guest && services.config.login.login_with_password;
    let versions = ROOM_VERSIONS.map(|version| (version, RoomVersionStability::Stable));
    let mut capabilities = Capabilities::new();
    capabilities.change_password = ChangePasswordCapability::new(person);
    capabilities.get_login_token = GetLoginTokenCapability::new(person);
    capabilities.room_versions = RoomVersionsCapability::new(
        services.config.rooms.default_room_version.clone(),
        versions.into_iter().collect(),
    );
    // Names and avatars can be set, which is what their absence says, too.
    capabilities.profile_fields = Some(ProfileFieldsCapability::new(true));
    let is_admin = admin_room::is_admin(&services.rooms, &call.caller.user_id)?;
    capabilities.account_moderation.suspend = is_admin;
    capabilities.account_moderation.lock = is_admin;
    capabilities.thirdparty_id_changes = ThirdPartyIdChangesCapability::new(false);
    Ok(get_capabilities::v3::Response::new(capabilities))
}
