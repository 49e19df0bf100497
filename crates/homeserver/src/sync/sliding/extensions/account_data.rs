//! Account data: all of it the first time, then what changed.

use ruma::OwnedRoomId;

use super::Answer;
use crate::{
    accounts::account_data::{self, AccountDataChange},
    error::Result,
    stream::Position,
};

pub(super) fn fill(answer: &mut Answer<'_>) -> Result<bool> {
    let asked = &answer.sync_request.extensions.account_data;
    let (store, user) = (&answer.ctx.store, answer.sync_request.user());
    let changes = changes(answer, answer.base.position)?;
    let global = if answer.base.is_first() {
        account_data::all(store, user, None)?
    } else {
        in_room(&changes, "")
    };
    let global: Result<_> = global.iter().map(AccountDataChange::global_event).collect();
    answer.extensions.account_data.global = global?;
    for room in answer.rooms(asked.lists.as_ref(), asked.rooms.as_ref()) {
        let data = match answer.base.besides.account_data.get(&room) {
            None => account_data::all(store, user, Some(&room))?,
            Some(sent_room) if *sent_room == answer.base.position => {
                in_room(&changes, room.as_str())
            }
            Some(sent_room) => in_room(&self::changes(answer, *sent_room)?, room.as_str()),
        };
        tell(answer, room, &data)?;
    }
    Ok(!answer.extensions.account_data.is_empty())
}

fn tell(answer: &mut Answer<'_>, room: OwnedRoomId, data: &[AccountDataChange]) -> Result<()> {
    let sent_room = &mut answer.next.besides.account_data;
    sent_room.insert(room.clone(), answer.next.position);
    if !data.is_empty() {
        let data: Result<_> = data.iter().map(AccountDataChange::room_event).collect();
        let rooms = &mut answer.extensions.account_data.rooms;
        rooms.insert(room, data?);
    }
    Ok(())
}

fn changes(answer: &Answer<'_>, after: Position) -> Result<Vec<AccountDataChange>> {
    let (store, now) = (&answer.ctx.store, answer.next.position);
    account_data::changed(store, answer.sync_request.user(), after, now)
}

fn in_room(changes: &[AccountDataChange], room: &str) -> Vec<AccountDataChange> {
    let changes = changes.iter().filter(|changed| changed.room == room);
    changes.cloned().collect()
}
