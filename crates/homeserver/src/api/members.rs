//! Who is in a room, and in which rooms somebody is.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmembers>

use std::collections::BTreeMap;

use ruma::{
    api::client::membership::{get_member_events, joined_members, joined_rooms},
    events::{
        StateEventType,
        room::member::{MembershipState, RoomMemberEventContent},
    },
};

use crate::{
    error::{Error, Result},
    http::{Call, Routes},
    rooms::{self, Pdu, present},
    services::AppState,
    stream::Position,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(members).add(joined).add(joined_rooms_of)
}

async fn members(
    services: AppState,
    call: Call<get_member_events::v3::Request>,
) -> Result<get_member_events::v3::Response> {
    let (body, rooms) = (&call.body, &services.rooms);
    let mut state = rooms::readable_state(rooms, &call.caller.user_id, &body.room_id)?;
    if let Some(token) = &body.at {
        state = state.not_after(position(token)?);
    }
    let viewer = present::Viewer::from(&call.caller);
    let mut chunk = Vec::new();
    for pdu in state.all_of(&StateEventType::RoomMember)? {
        let membership = membership_of(&pdu);
        let wanted = body
            .membership
            .as_ref()
            .is_none_or(|want| *want == membership)
            && body.not_membership.as_ref() != Some(&membership);
        if wanted {
            chunk.push(present::state(rooms, &pdu, &viewer)?.cast_unchecked());
        }
    }
    Ok(get_member_events::v3::Response::new(chunk))
}

fn membership_of(pdu: &Pdu) -> MembershipState {
    pdu.content_as::<RoomMemberEventContent>()
        .map_or(MembershipState::Leave, |content| content.membership)
}

/// The position in a token of a sync or of a page of messages: the first number in it.
fn position(token: &str) -> Result<Position> {
    let digits: String = token
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .take_while(char::is_ascii_digit)
        .collect();
    digits
        .parse()
        .map(Position)
        .map_err(|_| Error::invalid("at is no token of this server"))
}

async fn joined(
    services: AppState,
    call: Call<joined_members::v3::Request>,
) -> Result<joined_members::v3::Response> {
    let room = &call.body.room_id;
    if !services.rooms.is_joined(room, &call.caller.user_id)? {
        return Err(Error::forbidden("You are not in this room"));
    }
    let mut people = BTreeMap::new();
    let state = services.rooms.state(room);
    for user in services.rooms.joined_members(room)? {
        let content = state
            .member(&user)?
            .and_then(|pdu| pdu.content_as::<RoomMemberEventContent>());
        let mut person = joined_members::v3::RoomMember::new();
        if let Some(content) = content {
            person.display_name = content.displayname;
            person.avatar_url = content.avatar_url;
        }
        people.insert(user, person);
    }
    Ok(joined_members::v3::Response::new(people))
}

async fn joined_rooms_of(
    services: AppState,
    call: Call<joined_rooms::v3::Request>,
) -> Result<joined_rooms::v3::Response> {
    let rooms = services.rooms.joined_rooms(&call.caller.user_id)?;
    Ok(joined_rooms::v3::Response::new(rooms))
}
