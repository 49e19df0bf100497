//! Tells admins in their management rooms, once for each pause, that an agent is paused.

use std::sync::Arc;

use tracing::warn;

use super::help::code;
use crate::{
    config::Level,
    journal::{Journal, JournalError, OutboxItem, PauseRecord, SendId},
    matrix::{
        content::{self, MsgKind, Placement},
        render::render,
    },
    outbox::Outbox,
    turns::{
        messages::{EVENT_TYPE, to_raw_json},
        pauses::Pauses,
        route::Rules,
    },
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
         When that is fixed, `resume {}` asks it at once. [{}]",
        pause.reason, pause.agent, pause.code
    );
    for (user, room) in journal.management_rooms()? {
        if rules.permissions.level(&user) < Level::Admin {
            continue;
        }
        let since = pause.since.0.to_string();
        let send_id = SendId::of(&["paused", room.as_str(), pause.agent.as_str(), &since]);
        let placement = Placement::Room { reply_to: None };
        let content = content::message(
            render(&text),
            MsgKind::Notice,
            placement,
            [],
            send_id.as_str(),
        );
        let item = OutboxItem {
            room,
            sender: rules.identity.bot().to_owned(),
            event_type: EVENT_TYPE.to_owned(),
            send_id,
            content: to_raw_json(&content),
        };
        outbox.enqueue(&item).await?;
    }
    Ok(())
}
