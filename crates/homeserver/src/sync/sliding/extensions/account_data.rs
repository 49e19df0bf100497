//! Account data: all of it the first time, then what changed.

use std::collections::{BTreeMap, BTreeSet};

use ruma::{OwnedRoomId, serde::Raw};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::Answer;
use crate::{error::Result, store::tables, stream::Position};

/// What stands for no room in the tables of account data.
const GLOBAL: &str = "";

/// Which types of account data changed, by room.
type Changes = BTreeMap<String, BTreeSet<String>>;

pub(super) fn fill(answer: &mut Answer<'_>) -> Result<bool> {
    let now = answer.next.position;
    let asked = &answer.ask.extensions.account_data;
    let changes = changes(answer, answer.base.position)?;
    let global = if answer.base.is_first() {
        everything(answer, GLOBAL)?
    } else {
        changed(answer, GLOBAL, &changes)?
    };
    answer.extensions.account_data.global = global.into_iter().map(Raw::from_json).collect();
    for room in answer.rooms(asked.lists.as_ref(), asked.rooms.as_ref()) {
        let data = match answer.base.besides.account_data.get(&room) {
            None => everything(answer, room.as_str())?,
            Some(told) if *told == answer.base.position => {
                changed(answer, room.as_str(), &changes)?
            }
            Some(told) => changed(answer, room.as_str(), &self::changes(answer, *told)?)?,
        };
        answer.told_room(&room, data, now);
    }
    Ok(!answer.extensions.account_data.is_empty())
}

impl Answer<'_> {
    fn told_room(&mut self, room: &OwnedRoomId, data: Vec<Box<RawValue>>, now: Position) {
        let told = &mut self.next.besides.account_data;
        told.insert(room.clone(), now);
        if !data.is_empty() {
            let data = data.into_iter().map(Raw::from_json).collect();
            let rooms = &mut self.extensions.account_data.rooms;
            rooms.insert(room.clone(), data);
        }
    }
}

fn changes(answer: &Answer<'_>, after: Position) -> Result<Changes> {
    let user = answer.ask.user();
    let mut changes = Changes::new();
    let rows = answer
        .server
        .store
        .scan_from::<tables::AccountDataChanges>((user,), (user, after.next()));
    for row in rows {
        let ((_, position), (room, kind)) = row?;
        if position > answer.next.position {
            break;
        }
        changes.entry(room).or_default().insert(kind);
    }
    Ok(changes)
}

fn changed(answer: &Answer<'_>, room: &str, changes: &Changes) -> Result<Vec<Box<RawValue>>> {
    let (store, user) = (&answer.server.store, answer.ask.user());
    let mut events = Vec::new();
    for kind in changes.get(room).into_iter().flatten() {
        if let Some(datum) = store.get::<tables::AccountData>((user, room, kind.as_str()))? {
            events.push(event(kind, &datum.content)?);
        }
    }
    Ok(events)
}

fn everything(answer: &Answer<'_>, room: &str) -> Result<Vec<Box<RawValue>>> {
    let user = answer.ask.user();
    let rows = answer
        .server
        .store
        .scan::<tables::AccountData>((user, room));
    let events = rows.map(|row| {
        let ((_, _, kind), datum) = row?;
        event(&kind, &datum.content)
    });
    events.collect()
}

#[derive(Serialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    content: &'a RawValue,
}

fn event(kind: &str, content: &RawValue) -> Result<Box<RawValue>> {
    Ok(to_raw_value(&Event { kind, content })?)
}
