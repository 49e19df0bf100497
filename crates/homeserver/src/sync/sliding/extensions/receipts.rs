//! Who read up to where: what stands in a room the first time, then what came since.
//!
//! Spec: <https://github.com/matrix-org/matrix-spec-proposals/pull/3960>

use super::Answer;
use crate::{error::Result, limits::SLIDING_RECEIPTS_MAX, rooms::receipts};

pub(super) fn fill(answer: &mut Answer<'_>) -> Result<bool> {
    let (store, now) = (&answer.ctx.store, answer.next.position);
    let asked = &answer.sync_request.extensions.receipts;
    for room in answer.rooms(asked.lists.as_ref(), asked.rooms.as_ref()) {
        if !answer.visible.is_joined(&room) {
            continue;
        }
        let after = answer.base.besides.receipts.get(&room).copied();
        let after = after.unwrap_or_default();
        let mut receipts = receipts::since(store, &room, answer.sync_request.user(), after, now)?;
        receipts.drain(..receipts.len().saturating_sub(SLIDING_RECEIPTS_MAX));
        answer.next.besides.receipts.insert(room.clone(), now);
        if let Some(event) = receipts::event(receipts)? {
            let rooms = &mut answer.extensions.receipts.rooms;
            rooms.insert(room, event.cast_unchecked());
        }
    }
    Ok(!answer.extensions.receipts.is_empty())
}
