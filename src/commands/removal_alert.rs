//! Tells admins in their management rooms when the bridge needs their decision.

use ruma::RoomId;
use tokio::sync::watch;
use tracing::warn;

use crate::{
    agents::{discovery::DiscoveryStatus, plan::RemovalHold},
    identity::Identity,
    journal::{Journal, JournalError, OutboxItem, SendId},
    matrix::{
        content::{self, MsgKind, Placement},
        render::render,
    },
    outbox::Outbox,
    time::Millis,
    turns::messages::{EVENT_TYPE, to_raw_json},
    workers::Tasks,
};

/// Watches discovery until the process is about to end.
pub async fn serve(
    journal: Journal,
    outbox: Outbox,
    identity: Identity,
    mut discovery_status: watch::Receiver<DiscoveryStatus>,
    tasks: Tasks,
) {
    let mut told = None;
    loop {
        let hold = discovery_status.borrow_and_update().hold;
        if hold != told
            && let Some(hold) = hold
            && let Err(failure) = notify_admins(&journal, &outbox, &identity, hold).await
        {
            warn!(
                error = &failure as &dyn std::error::Error,
                "could not notify admins"
            );
        }
        told = hold;
        tokio::select! {
            changed = discovery_status.changed() => if changed.is_err() { return },
            () = tasks.closing() => return,
        }
    }
}

async fn notify_admins(
    journal: &Journal,
    outbox: &Outbox,
    identity: &Identity,
    hold: RemovalHold,
) -> Result<(), JournalError> {
    let text = format!(
        "⚠️ {} of {} agents are missing in Letta all at once. Nobody is removed. If they are \
         really gone, say `sync accept-removals`; if not, look at Letta. [AGENTS_MISSING]",
        hold.missing, hold.known
    );
    let at = Millis::now().0.to_string();
    for room in journal.management_rooms()?.values() {
        outbox.enqueue(&notice(room, identity, &text, &at)).await?;
    }
    Ok(())
}

fn notice(room: &RoomId, identity: &Identity, text: &str, at: &str) -> OutboxItem {
    let send_id = SendId::of(&["alarm", room.as_str(), at]);
    let placement = Placement::Room { reply_to: None };
    let content = content::message(
        render(text),
        MsgKind::Notice,
        placement,
        [],
        send_id.as_str(),
    );
    OutboxItem {
        room: room.to_owned(),
        sender: identity.bot().to_owned(),
        event_type: EVENT_TYPE.to_owned(),
        send_id,
        content: to_raw_json(&content),
    }
}
