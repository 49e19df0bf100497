//! What the members of an upgraded room have said about it, said about the new one: tags, the mark of a direct chat, push rules.
//!
//! It is done for everybody who is in the old room when it is replaced, so that whoever follows the tombstone finds the new room where
//! the old one was, and as quiet. What would make the data of a user too large is left out.

use ruma::{
    RoomId, UserId,
    push::{
        NewConditionalPushRule, NewPushRule, NewSimplePushRule, PushCondition, RuleKind, Ruleset,
    },
};
use serde_json::{Map, Value, value::to_raw_value};

use super::attempt;
use crate::{
    accounts::account_data,
    error::Result,
    push::{
        limits,
        rules::{self, Rulesets},
    },
    rooms::Rooms,
};

/// The type of the account data that tags are in.
const TAG: &str = "m.tag";
/// The type of the account data that says which rooms are direct chats.
const DIRECT: &str = "m.direct";

/// Carries over what the members of `old` have said about it.
pub(super) async fn carry_over(
    rooms: &Rooms,
    rulesets: &Rulesets,
    old: &RoomId,
    new: &RoomId,
) -> Result<()> {
    for user in rooms.joined_members(old)? {
        {
            let _turn = rooms.accounts.user_locks.lock(&user).await;
            tags(rooms, &user, old, new).await?;
            attempt(direct(rooms, &user, old, new).await)?;
        }
        let _one_at_a_time = rulesets.editing(&user).await;
        attempt(push_rules(rooms, &user, old, new).await)?;
    }
    Ok(())
}

async fn tags(rooms: &Rooms, user: &UserId, old: &RoomId, new: &RoomId) -> Result<()> {
    let (store, stream) = (&rooms.store, &rooms.stream);
    let there = account_data::get(store, user, Some(new), TAG)?.is_some();
    if let Some(datum) = account_data::get(store, user, Some(old), TAG)?.filter(|_| !there) {
        account_data::set(store, stream, user, Some(new), TAG, datum.content).await?;
    }
    Ok(())
}

/// Adds the new room wherever the old one stands. The old one stays: it is still a chat with the same people.
async fn direct(rooms: &Rooms, user: &UserId, old: &RoomId, new: &RoomId) -> Result<()> {
    let (store, stream) = (&rooms.store, &rooms.stream);
    let Some(datum) = account_data::get(store, user, None, DIRECT)? else {
        return Ok(());
    };
    // Clients write it, so it can be anything.
    let Ok(mut people) = serde_json::from_str::<Map<String, Value>>(datum.content.get()) else {
        return Ok(());
    };
    let mut changed = false;
    for chats in people.values_mut().filter_map(Value::as_array_mut) {
        let has = |room: &RoomId| chats.iter().any(|chat| chat == room.as_str());
        if has(old) && !has(new) {
            chats.push(new.as_str().into());
            changed = true;
        }
    }
    if changed {
        let content = to_raw_value(&people)?;
        account_data::check(store, user, None, DIRECT, &content)?;
        account_data::set(store, stream, user, None, DIRECT, content).await?;
    }
    Ok(())
}

async fn push_rules(rooms: &Rooms, user: &UserId, old: &RoomId, new: &RoomId) -> Result<()> {
    let before = rules::load(&rooms.store, user)?;
    let mut after = before.clone();
    for (rule, enabled) in copies(&before, old, new) {
        let (kind, id) = (rule.kind(), rule.rule_id().to_owned());
        // A rule of this name that is there already is the user's.
        let is_there = after.get(kind.clone(), &id).is_some();
        if !is_there && after.insert(rule, None, None).is_ok() && !enabled {
            _ = after.set_enabled(kind, &id, false);
        }
    }
    if after.iter().count() == before.iter().count() {
        return Ok(());
    }
    limits::check_change(&before, &after, None)?;
    rules::save(&rooms.store, &rooms.stream, user, after).await
}

/// The rules about the old room as rules about the new one, and whether they are on: those of the kind `room`, and overrides that name the
/// room, which is how clients mute one.
fn copies(rules: &Ruleset, old: &RoomId, new: &RoomId) -> Vec<(NewPushRule, bool)> {
    let mut copies = Vec::new();
    if let Some(rule) = rules.get(RuleKind::Room, old) {
        let copy = NewSimplePushRule::new(new.to_owned(), rule.actions().to_vec());
        copies.push((NewPushRule::Room(copy), rule.enabled()));
    }
    for rule in rules.override_.iter().filter(|rule| !rule.default) {
        let mut conditions = rule.conditions.clone();
        let mut names_it = false;
        for condition in &mut conditions {
            if let PushCondition::EventMatch(is) = condition
                && is.key == "room_id"
                && is.pattern == old.as_str()
            {
                new.as_str().clone_into(&mut is.pattern);
                names_it = true;
            }
        }
        if names_it {
            let id = match rule.rule_id.replace(old.as_str(), new.as_str()) {
                same if same == rule.rule_id => format!("{same} {new}"),
                other => other,
            };
            let copy = NewConditionalPushRule::new(id, conditions, rule.actions.clone());
            copies.push((NewPushRule::Override(copy), rule.enabled));
        }
    }
    copies
}
