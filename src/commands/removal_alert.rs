//! Tells admins in their management rooms when the bridge needs their decision.

use tokio::sync::watch;
use tracing::warn;

use crate::{
    agents::{discovery::DiscoveryStatus, plan::RemovalHold},
    identity::Identity,
    journal::{Journal, JournalError, NoticeText, SendId},
    matrix::content::Placement,
    outbox::{Outbox, markdown_notices},
    time::Millis,
    workers::Tasks,
};

/// The code of the alert.
const AGENTS_MISSING: &str = "AGENTS_MISSING";

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
         really gone, say `sync accept-removals`; if not, look at Letta.",
        hold.missing, hold.known
    );
    let text = NoticeText::new(text, AGENTS_MISSING).for_admin();
    let at = Millis::now().0.to_string();
    for room in journal.management_rooms()?.values() {
        let send_id = SendId::of(&["alarm", room.as_str(), &at]);
        for item in markdown_notices(
            room,
            identity.bot(),
            &Placement::Room { reply_to: None },
            &text,
            &send_id,
        ) {
            outbox.enqueue(&item).await?;
        }
    }
    Ok(())
}
