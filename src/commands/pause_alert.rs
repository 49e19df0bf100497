//! Tells admins in their management rooms, once for each pause, that an agent is paused.

use std::sync::Arc;

use tracing::warn;

use super::help::code;
use crate::{
    config::Level,
    journal::{Journal, JournalError, NoticeText, PauseRecord, SendId},
    matrix::content::Placement,
    outbox::{Outbox, markdown_notices},
    turns::{pauses::Pauses, route::Rules},
    workers::Tasks,
};

/// Watches the pauses until the process is about to end.
pub async fn serve(
    journal: Journal,
    outbox: Outbox,
    rules: Rules,
    pauses: Arc<Pauses>,
    tasks: Tasks,
) {
    let mut changes = pauses.changes();
    loop {
        changes.mark_unchanged();
        for pause in pauses.all() {
            // What was said before, also by an earlier process, is not said again.
            if let Err(failure) = notify_admins(&journal, &outbox, &rules, &pause).await {
                warn!(
                    error = &failure as &dyn std::error::Error,
                    "could not notify admins of a paused agent"
                );
            }
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = tasks.closing() => return,
        }
    }
}

async fn notify_admins(
    journal: &Journal,
    outbox: &Outbox,
    rules: &Rules,
    pause: &PauseRecord,
) -> Result<(), JournalError> {
    let name = journal
        .agent(&pause.agent)?
        .map_or_else(|| code(pause.agent.as_str()), |record| code(&record.name));
    let text = format!(
        "⏸ {name} is paused. {} What people write to it waits; one message is tried after a minute at first and an hour at last. \
         When that is fixed, `resume {}` asks it at once.",
        pause.reason, pause.agent
    );
    let text = NoticeText::new(text, &*pause.code).for_admin();
    for (user, room) in journal.management_rooms()? {
        if rules.permissions.level(&user) < Level::Admin {
            continue;
        }
        let since = pause.since.0.to_string();
        let send_id = SendId::of(&["paused", room.as_str(), pause.agent.as_str(), &since]);
        let placement = Placement::Room { reply_to: None };
        for item in markdown_notices(&room, rules.identity.bot(), &placement, &text, &send_id) {
            outbox.enqueue(&item).await?;
        }
    }
    Ok(())
}
