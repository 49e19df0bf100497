//! Who is typing, told when it changes.

use super::Answer;
use crate::{error::Result, rooms::typing};

pub(super) fn fill(answer: &mut Answer<'_>) -> Result<bool> {
    let now = answer.next.position;
    let asked = &answer.sync_request.extensions.typing;
    for room in answer.rooms(asked.lists.as_ref(), asked.rooms.as_ref()) {
        if !answer.visible.is_joined(&room) {
            continue;
        }
        let sent_room = answer.base.besides.typing.get(&room).copied();
        let typers = &answer.ctx.rooms.typing;
        let users = match sent_room {
            // Who sees the room for the first time takes it that nobody types.
            None => Some(typers.users(&room)).filter(|users| !users.is_empty()),
            Some(sent_room) => typers.since(&room, sent_room, now),
        };
        answer.next.besides.typing.insert(room.clone(), now);
        if let Some(users) = users {
            let event = typing::event(users)?.cast_unchecked();
            answer.extensions.typing.rooms.insert(room, event);
        }
    }
    Ok(!answer.extensions.typing.is_empty())
}
