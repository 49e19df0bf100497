//! What a room is, for people who look at it from outside.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1room_summaryroomidoralias>

use ruma::{api::client::room::get_summary, events::room::member::MembershipState};

use crate::{
    error::Result,
    http::{Call, Routes},
    rooms::{self, summary, unknown_room},
    services::AppState,
};

/// Where clients look that know only the proposal.
const OLD_PATH: &str = "/_matrix/client/unstable/im.nheko.summary/summary/{room_id_or_alias}";

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(get).add_path(OLD_PATH, &[], get)
}

async fn get(
    services: AppState,
    call: Call<get_summary::v1::Request>,
) -> Result<get_summary::v1::Response> {
    let room =
        rooms::aliases::resolve_room_or_alias(&services.rooms, &call.body.room_id_or_alias).await?;
    let user = call.caller.as_ref().map(|caller| &*caller.user_id);
    if !summary::may_know(&services.rooms, user, &room)? {
        return Err(unknown_room());
    }
    let summary = summary::summarize(&services.rooms, &room)?;
    let mut response = get_summary::v1::Response::new(summary);
    if let Some(user) = user {
        let member = services.rooms.membership(&room, user)?;
        response.membership =
            Some(member.map_or(MembershipState::Leave, |member| member.membership));
    }
    Ok(response)
}
