//! Upgrading rooms. Spec: <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidupgrade>

use ruma::api::client::room::upgrade_room;

use crate::{
    error::Result,
    http::{Call, Routes},
    operations::upgrade::{Upgrade, upgrade},
    rooms,
    services::AppState,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(replace)
}

async fn replace(
    services: AppState,
    call: Call<upgrade_room::v3::Request>,
) -> Result<upgrade_room::v3::Response> {
    rooms::check_not_suspended(&services.rooms, &call.caller)?;
    let asked = Upgrade {
        room: call.body.room_id,
        version: call.body.new_version,
        creators: call.body.additional_creators,
    };
    let rulesets = &services.push_rules.rulesets;
    let room = upgrade(&services.rooms, rulesets, &call.caller, &asked).await?;
    Ok(upgrade_room::v3::Response::new(room))
}
