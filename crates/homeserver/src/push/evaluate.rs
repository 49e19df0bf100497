//! Meets each new event with the push rules of everybody whom it can concern.
//!
//! All is decided before the event has a position: what one member stored must not hold up everybody else. The rows are written with
//! the event. Only people are met: users of application services read nothing, and a user without an account or with a deactivated
//! one has nobody who could. What is not a notification leaves no trace, so a quiet room costs nothing to count.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use homeserver_model::push::{
    budget::{EventBudget, MemberBudget},
    compiled::{Actions, Context, FlattenedEvent},
};
use ruma::{
    OwnedEventId, OwnedUserId, RoomId, UInt,
    events::{
        TimelineEventType,
        receipt::ReceiptThread,
        relation::RelationType,
        room::member::{MembershipState, RoomMemberEventContent},
    },
};
use serde::Deserialize;

use super::{
    Rulesets,
    audience::{Audience, Audiences, has_reader},
    record::Notification,
};
use crate::{
    error::Result,
    rooms::{Derived, DerivedWrite, Pdu, RoomWriter, mark_read, trim},
    store::{Encoded, tables},
    stream::{Position, Slot},
};

/// Old notifications of a room are taken away whenever its depth is a multiple of this.
const TRIM_EVERY: u64 = 64;

/// The push rules of everybody, which every event meets. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct PushRules {
    pub(crate) rulesets: Arc<Rulesets>,
    audiences: Arc<Audiences>,
}

impl Derived for PushRules {
    /// Reads whom the events can concern: the writer of the room waits for nothing else that is slow.
    fn begin(&self, writer: &RoomWriter) -> Result<Box<dyn DerivedWrite>> {
        let rooms = writer.rooms();
        let rules = &writer.rules().authorization;
        let audience = self
            .audiences
            .take(rooms, writer.room_id(), rules, writer.added())?;
        Ok(Box::new(Evaluation {
            rules: self.clone(),
            audience,
            joining: joining(writer.added()),
        }))
    }
}

/// The events of one write meet the rules, one after the other.
#[derive(Debug)]
struct Evaluation {
    rules: PushRules,
    audience: Arc<Audience>,
    /// Who joins in this write: an invitation in it is answered already.
    joining: BTreeSet<OwnedUserId>,
}

impl DerivedWrite for Evaluation {
    /// The next event meets the rules of everybody: what notifies somebody becomes a row of the write.
    fn next(&mut self, writer: &mut RoomWriter, pdu: &Arc<Pdu>, slot: Slot) -> Result<()> {
        let thread = thread_of(pdu);
        read_by_sender(writer, pdu, thread.as_ref())?;
        left(writer, pdu)?;
        let rules = &writer.rules().authorization;
        Audience::apply_event(&mut self.audience, &writer.rooms().store, pdu, rules)?;
        let audience = &self.audience;
        if let Some(redacted) = &pdu.redacts {
            forget(writer, audience, redacted)?;
        }
        if let Some(event) = FlattenedEvent::new(&pdu.json, pdu.room_id.as_str()) {
            self.apply_rules(writer, pdu, &event, (thread.as_ref(), slot))?;
        }
        if pdu.depth.is_multiple_of(TRIM_EVERY) {
            for user in self.audience.people.keys() {
                trim(writer, user)?;
            }
        }
        Ok(())
    }

    fn written(self: Box<Self>, room: &RoomId, added: &[Arc<Pdu>]) {
        self.rules
            .audiences
            .store_committed(room, self.audience, added);
    }
}

impl Evaluation {
    /// The event meets the rules of everybody.
    fn apply_rules(
        &self,
        writer: &mut RoomWriter,
        pdu: &Pdu,
        event: &FlattenedEvent,
        (thread, slot): (Option<&OwnedEventId>, Slot),
    ) -> Result<()> {
        let audience = &self.audience;
        let mut context = Context {
            joined: UInt::try_from(audience.joined()).unwrap_or(UInt::MAX),
            display_name: "",
            power_levels: audience.power_levels.as_ref(),
            sender: &pdu.sender,
        };
        let concerned = || {
            audience.people.iter().filter(|(user, member)| {
                let invited =
                    !member.joined && pdu.is_member_event_of(user) && !self.joining.contains(*user);
                **user != pdu.sender && (member.joined || invited)
            })
        };
        let mut budget = EventBudget::new(concerned().count());
        let rulesets = &self.rules.rulesets;
        for (user, member) in concerned() {
            let share = budget.member_budget();
            let (rules, parsed) = rulesets.get(&writer.rooms().store, user, share.parsed)?;
            context.display_name = &member.display_name;
            let (actions, steps) = rules.actions(event, &context, share);
            let taken = MemberBudget { parsed, ..steps };
            budget.deduct(taken);
            rulesets.steps.fetch_add(taken.steps(), Relaxed);
            rulesets.parsed.fetch_add(taken.parsed, Relaxed);
            if let Some(actions) = actions {
                self.notify(writer, pdu, user, (thread, slot), actions)?;
            }
        }
        Ok(())
    }

    /// Writes the notification, if it is one.
    fn notify(
        &self,
        writer: &mut RoomWriter,
        pdu: &Pdu,
        user: &OwnedUserId,
        (thread, slot): (Option<&OwnedEventId>, Slot),
        actions: &Actions,
    ) -> Result<()> {
        let rooms = writer.rooms();
        if !(actions.notify || actions.highlight)
            || !has_reader(&rooms.store, user)?
            || self
                .rules
                .rulesets
                .ignored_by(&rooms.store, user)?
                .contains(&pdu.sender)
        {
            return Ok(());
        }
        let row = Encoded::new(&Notification {
            event_id: pdu.event_id.clone(),
            thread: thread.cloned(),
            notify: actions.notify,
            highlight: actions.highlight,
            actions: actions.all.clone(),
            time: pdu.origin_server_ts,
            read: false,
        })?;
        let (user, room) = (user.clone(), pdu.room_id.clone());
        writer.add_row(move |batch, positions| {
            batch.put_encoded::<tables::Notifications>((&user, &room, positions.of(slot)), &row)
        });
        Ok(())
    }
}

/// Who says in these events that they join.
fn joining(added: &[Arc<Pdu>]) -> BTreeSet<OwnedUserId> {
    let members = added.iter().filter(|pdu| {
        pdu.kind == TimelineEventType::RoomMember && pdu.is_member_event_of(&pdu.sender)
    });
    let joins = members.filter(|pdu| {
        let content = pdu.content_as::<RoomMemberEventContent>();
        content.is_some_and(|content| content.membership == MembershipState::Join)
    });
    joins.map(|pdu| pdu.sender.clone()).collect()
}

/// Whoever says something has read what is before it.
fn read_by_sender(writer: &mut RoomWriter, pdu: &Pdu, thread: Option<&OwnedEventId>) -> Result<()> {
    let thread = thread
        .cloned()
        .map_or(ReceiptThread::Main, ReceiptThread::Thread);
    let rooms = writer.rooms().clone();
    // The event has no position yet, and nothing of its room can come behind it: its writer is the only one.
    let (room, up_to) = (&pdu.room_id, Position::MAX);
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
