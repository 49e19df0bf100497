//! Who is typing, told when it changes.

use super::Answer;
use crate::{error::Result, rooms::typing};

pub(super) fn fill(answer: &mut Answer<'_>) -> Result<bool> {
    let now = answer.next.position;
    let asked = &answer.ask.extensions.typing;
    for room in answer.rooms(asked.lists.as_ref(), asked.rooms.as_ref()) {
        if !answer.seen.is_joined(&room) {
            continue;
        }
        let told = answer.base.besides.typing.get(&room).copied();
        let typers = &answer.ctx.rooms.typing;
        let users = match told {
            // Who sees the room for the first time takes it that nobody types.
            None => Some(typers.users(&room)).filter(|users| !users.is_empty()),
            Some(told) => typers.since(&room, told, now),
        };
        answer.next.besides.typing.insert(room.clone(), now);
        if let Some(users) = users {
            let event = typing::event(users)?.cast_unchecked();
            answer.extensions.typing.rooms.insert(room, event);
        }
    }
    Ok(!answer.extensions.typing.is_empty())
}
