//! What is told of the moment: receipts, who is typing, who is there (MSC2409). Only application services that asked for it hear it.
//!
//! It concerns an application service by its users in the room, and by the names of rooms and users that it cares for.
//! Spec: <https://spec.matrix.org/v1.19/application-service-api/#pushing-ephemeral-data>

use std::collections::BTreeSet;

use ruma::RoomId;
use serde_json::json;

use super::{Transaction, TransactionSource};
use crate::{
    appservices::Appservice, error::Result, rooms::Rooms, store::tables, stream::Position,
    transactions::interest::Interest,
};

impl Transaction {
    /// A receipt that others may see.
    pub(super) fn receipt(
        &mut self,
        rooms: &Rooms,
        appservice: &Appservice,
        interest: &mut Interest,
        room: &RoomId,
        position: Position,
    ) -> Result<()> {
        let wanted = appservice.registration().file().receive_ephemeral;
        if !wanted || !interest.in_room(room, position)? {
            return Ok(());
        }
        // A newer receipt has taken the place of an older one.
        let Some(receipt) = rooms.store.get::<tables::Receipts>((room, position))? else {
            return Ok(());
        };
        if receipt.receipt_type != "m.read" {
            return Ok(());
        }
        let mut read = json!({ "ts": receipt.time });
        if let Some(thread) = &receipt.thread {
            read["thread_id"] = json!(thread);
        }
        let (event, reader) = (receipt.event_id.to_string(), receipt.user_id.to_string());
        let content = json!({ (event): { "m.read": { (reader): read } } });
        self.names.push(format!("receipt {position}"));
        self.ephemeral
            .push(json!({ "type": "m.receipt", "room_id": room, "content": content }));
        Ok(())
    }

    /// Who is typing in rooms where that changed.
    pub(super) fn typing(
        &mut self,
        source: &TransactionSource,
        interest: &mut Interest,
        after: Position,
    ) -> Result<()> {
        for room in source.typing.changed_rooms(after, self.until) {
            if !interest.in_room(&room, self.until)? {
                continue;
            }
            // Whoever began after the room was looked at is in the next transaction.
            if let Some(users) = source.typing.since(&room, after, self.until) {
                let content = json!({ "user_ids": users });
                self.ephemeral
                    .push(json!({ "type": "m.typing", "room_id": room, "content": content }));
            }
        }
        Ok(())
    }

    /// Users who are seen differently, if they are its own or are in a room with one of them.
    pub(super) fn presence(
        &mut self,
        source: &TransactionSource,
        appservice: &Appservice,
        interest: &mut Interest,
        after: Position,
    ) -> Result<()> {
        for (user, status) in source.presence.since(after, self.until, &BTreeSet::new()) {
            if appservice.is_own(&user) || interest.shares_room_with(&user, self.until)? {
                self.ephemeral
                    .push(serde_json::to_value(status.event(user))?);
            }
        }
        Ok(())
    }
}
