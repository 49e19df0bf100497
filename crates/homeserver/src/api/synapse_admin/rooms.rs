//! Rooms: a page of all of them, and one.

use std::cmp::Reverse;

use ruma::{OwnedRoomId, RoomId, events::StateEventType};
use serde_json::{Value, json};

use super::{Page, check_admin, endpoint, is_found};
use crate::{
    api::{untyped::Json, untyped_request::UntypedRequest},
    error::{Error, Result},
    http::{Call, Routes},
    rooms::summary,
    services::{AppState, Services},
    store::tables,
};

endpoint!(List, GET, "v1/rooms");
endpoint!(Get, GET, "v1/rooms/{room_id}");
endpoint!(Members, GET, "v1/rooms/{room_id}/members");

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(list).add(get).add(members)
}

async fn list(services: AppState, call: Call<UntypedRequest<List>>) -> Result<Json> {
    check_admin(&services, &call.caller)?;
    let (page, term) = (
        Page::of(&call.facts)?,
        call.facts.query_value("search_term"),
    );
    let mut rooms = Vec::new();
    for key in services.store.scan::<tables::Rooms>(()).keys() {
        let (room,) = key?;
        let name = text(&services, &room, &StateEventType::RoomName, "name")?;
        let alias = text(
            &services,
            &room,
            &StateEventType::RoomCanonicalAlias,
            "alias",
        )?;
        let names = [room.as_str(), &name, &alias];
        if is_found(term.as_ref(), &names) {
            let members = services.rooms.joined_members(&room)?.len();
            rooms.push((room, name, members));
        }
    }
    let backward = call.facts.query_value("dir").as_deref() == Some("b");
    if call.facts.query_value("order_by").as_deref() == Some("joined_members") {
        rooms.sort_by_key(|(_, _, members)| Reverse(*members));
    } else {
        rooms.sort_by_cached_key(|(_, name, _)| name.to_lowercase());
    }
    if backward {
        rooms.reverse();
    }
    let total = rooms.len();
    let (rooms, next) = page.cut(rooms);
    let shown = rooms.into_iter().map(|(room, ..)| shown(&services, &room));
    let shown = shown.collect::<Result<Vec<_>>>()?;
    let mut answer = json!({ "rooms": shown, "offset": page.from, "total_rooms": total });
    if let Some(next) = next {
        answer["next_batch"] = next.into();
    }
    if page.from > 0 {
        answer["prev_batch"] = page.from.saturating_sub(page.limit).into();
    }
    Ok(Json(answer))
}

async fn get(services: AppState, call: Call<UntypedRequest<Get>>) -> Result<Json> {
    check_admin(&services, &call.caller)?;
    let [room] = call.body.path_args()?;
    Ok(Json(shown(&services, &existing(&services, room)?)?))
}

async fn members(services: AppState, call: Call<UntypedRequest<Members>>) -> Result<Json> {
    check_admin(&services, &call.caller)?;
    let [room] = call.body.path_args()?;
    let members = services.rooms.joined_members(&existing(&services, room)?)?;
    Ok(Json(json!({ "total": members.len(), "members": members })))
}

fn existing(services: &Services, room: String) -> Result<OwnedRoomId> {
    let room = RoomId::parse(room).map_err(|error| Error::invalid(error.to_string()))?;
    if services.rooms.exists(&room)? {
        return Ok(room);
    }
    Err(Error::not_found("Room not found"))
}

/// A field of the state that is a text; an empty text if it is not there.
fn text(services: &Services, room: &RoomId, kind: &StateEventType, field: &str) -> Result<String> {
    let content: Option<Value> = services.rooms.state(room).content(kind, "")?;
    let text = content.and_then(|content| content[field].as_str().map(str::to_owned));
    Ok(text.unwrap_or_default())
}

fn shown(services: &Services, room: &RoomId) -> Result<Value> {
    let record = services.rooms.record(room)?;
    let record = record.ok_or_else(|| Error::not_found("Room not found"))?;
    let summary = serde_json::to_value(summary::summarize(&services.rooms, room)?)?;
    let of = |kind: StateEventType, field: &str| text(services, room, &kind, field);
    let listed = services.store.contains::<tables::PublicRooms>(("", room))?;
    let members = services.rooms.joined_members(room)?.len();
    Ok(json!({
        "room_id": room,
        "name": summary["name"],
        "topic": summary["topic"],
        "avatar": summary["avatar_url"],
        "canonical_alias": summary["canonical_alias"],
        "joined_members": members,
        "joined_local_members": members,
        "version": record.version,
        "creator": record.creator,
        "encryption": summary["encryption"],
        "federatable": false,
        "public": listed,
        "join_rules": of(StateEventType::RoomJoinRules, "join_rule")?,
        "guest_access": of(StateEventType::RoomGuestAccess, "guest_access")?,
        "history_visibility": of(StateEventType::RoomHistoryVisibility, "history_visibility")?,
        "state_events": services.rooms.state(room).all()?.len(),
        "room_type": summary["room_type"],
    }))
}
