//! Meets each new event with the push rules of everybody whom it can concern, in the event's own batch.
//!
//! Only people are met: users of application services read nothing, and a user without an account or with a deactivated one has
//! nobody who could. What is not a notification leaves no trace, so a quiet room costs nothing to count.

use futures_util::FutureExt;
use ruma::{
    OwnedEventId, OwnedUserId, UInt,
    events::{
        AnySyncTimelineEvent, TimelineEventType,
        receipt::ReceiptThread,
        relation::RelationType,
        room::member::{MembershipState, RoomMemberEventContent},
    },
    push::{Action, FlattenedJson, PushConditionRoomCtx, Ruleset},
    serde::Raw,
};
use serde::Deserialize;

use super::{
    audience::{Audience, audience, has_reader},
    mark_read,
    record::Notification,
    unread::trim,
};
use crate::{
    accounts::ignored::ignored_by,
    error::Result,
    rooms::{Pdu, RoomWriter},
    store::tables,
};

/// Old notifications of a room are taken away whenever its depth is a multiple of this.
const TRIM_EVERY: u64 = 64;

/// Writes whom the event notifies. The sender has read what is before their own event.
pub fn evaluate(writer: &mut RoomWriter, pdu: &Pdu) -> Result<()> {
    let thread = thread_of(pdu);
    read_by_sender(writer, pdu, thread.as_ref())?;
    left(writer, pdu)?;
    let audience = audience(writer)?;
    if let Some(redacted) = &pdu.redacts {
        forget(writer, &audience, redacted)?;
    }
    let mut context = PushConditionRoomCtx::new(
        pdu.room_id.clone(),
        UInt::try_from(audience.joined).unwrap_or(UInt::MAX),
        pdu.sender.clone(),
        String::new(),
    );
    context.power_levels.clone_from(&audience.power_levels);
    let event = FlattenedJson::from_raw(&Raw::<AnySyncTimelineEvent>::from_json(pdu.json.clone()));
    for (user, member) in &audience.people {
        let invited = !member.joined && pdu.is_member_event_of(user);
        if *user == pdu.sender || !(member.joined || invited) {
            continue;
        }
        context.user_id.clone_from(user);
        context.user_display_name.clone_from(&member.display_name);
        let rules = writer
            .rooms()
            .rulesets
            .get(&writer.rooms().store, &context.user_id)?;
        let actions = actions(&rules, &event, &context);
        notify(writer, pdu, &context.user_id, thread.as_ref(), actions)?;
    }
    if pdu.depth.is_multiple_of(TRIM_EVERY) {
        for user in audience.people.keys() {
            trim(writer, user)?;
        }
    }
    Ok(())
}

/// What the first rule that fits says. No condition that this server knows ever waits for anything.
fn actions<'a>(
    rules: &'a Ruleset,
    event: &FlattenedJson,
    context: &PushConditionRoomCtx,
) -> &'a [Action] {
    let fits = |rule: &ruma::push::AnyPushRuleRef<'_>| {
        (*rule).applies(event, context).now_or_never() == Some(true)
    };
    rules.iter().find(fits).map_or(&[], |rule| rule.actions())
}

/// Writes the notification, if it is one.
fn notify(
    writer: &mut RoomWriter,
    pdu: &Pdu,
    user: &OwnedUserId,
    thread: Option<&OwnedEventId>,
    actions: &[Action],
) -> Result<()> {
    let notify = actions.iter().any(Action::should_notify);
    let highlight = actions.iter().any(Action::is_highlight);
    if !(notify || highlight)
        || !has_reader(&writer.rooms().store, user)?
        || ignored_by(&writer.rooms().store, user)?.contains(&pdu.sender)
    {
        return Ok(());
    }
    let row = Notification {
        event_id: pdu.event_id.clone(),
        thread: thread.cloned(),
        notify,
        highlight,
        actions: serde_json::to_value(actions)?,
        time: pdu.origin_server_ts,
        read: false,
    };
    let room = pdu.room_id.clone();
    writer
        .batch()
        .put::<tables::Notifications>((user, &room, pdu.position), &row)?;
    Ok(())
}

/// Whoever says something has read what is before it.
fn read_by_sender(writer: &mut RoomWriter, pdu: &Pdu, thread: Option<&OwnedEventId>) -> Result<()> {
    let thread = thread
        .cloned()
        .map_or(ReceiptThread::Main, ReceiptThread::Thread);
    let rooms = writer.rooms().clone();
    let (room, up_to) = (&pdu.room_id, pdu.position);
    mark_read(writer.batch(), &rooms, &pdu.sender, room, &thread, up_to)
}

/// Whoever is no longer in the room has nothing left to read there.
fn left(writer: &mut RoomWriter, pdu: &Pdu) -> Result<()> {
    if pdu.kind != TimelineEventType::RoomMember {
        return Ok(());
    }
    let user = pdu
        .state_key
        .as_deref()
        .and_then(|key| OwnedUserId::try_from(key).ok());
    let (Some(user), Some(content)) = (user, pdu.content_as::<RoomMemberEventContent>()) else {
        return Ok(());
    };
    if matches!(
        content.membership,
        MembershipState::Leave | MembershipState::Ban
    ) {
        writer
            .batch()
            .delete_all::<tables::Notifications>((&user, &pdu.room_id))?;
    }
    Ok(())
}

/// What was taken back notifies nobody.
fn forget(writer: &mut RoomWriter, audience: &Audience, redacted: &OwnedEventId) -> Result<()> {
    let Some((room, position)) = writer.rooms().place_of(redacted)? else {
        return Ok(());
    };
    if room != writer.room_id() {
        return Ok(());
    }
    for user in audience.people.keys() {
        writer
            .batch()
            .delete::<tables::Notifications>((user, &room, position))?;
    }
    Ok(())
}

/// The root of the thread that the event is in.
fn thread_of(pdu: &Pdu) -> Option<OwnedEventId> {
    #[derive(Deserialize)]
    struct Content {
        #[serde(rename = "m.relates_to")]
        relates_to: Relation,
    }
    #[derive(Deserialize)]
    struct Relation {
        rel_type: RelationType,
        event_id: OwnedEventId,
    }
    let relation = pdu.content_as::<Content>()?.relates_to;
    (relation.rel_type == RelationType::Thread).then_some(relation.event_id)
}
