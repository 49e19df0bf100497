//! The task that reads the commands out of the rooms, does them and answers.
//!
//! A command is noted as done before it is: a server that is killed in the middle of one does not do it twice.

use homeserver_model::admin::command_in;
use ruma::{OwnedUserId, RoomId, events::TimelineEventType};
use serde::Deserialize;
use serde_json::{Value, value::to_raw_value};
use tasks::catch_panic;

use super::{answer, execute, is_admin, make_room, members, name_of, server_user};
use crate::{
    error::{Error, Result},
    rooms::{Draft, Pdu, admin_room},
    services::{AppState, Services},
    store::tables,
    stream::{Change, Position},
};

/// The row in which is kept up to where commands were done.
const CURSOR: &str = "admin commands";
/// After how many positions without a command it is noted up to where there was none: the next start looks through no more.
const NOTE_EVERY: u64 = 1_000;

#[derive(Deserialize)]
struct Message {
    msgtype: String,
    body: String,
}

/// Makes the admin room, does the commands of the configuration, and listens from now on.
pub(crate) async fn start(services: &AppState) -> Result<impl Future<Output = ()> + use<>> {
    make_room(services).await?;
    members::remove_appservice_users(services).await?;
    for line in &services.config.admin.admin_execute {
        let command = name_of(line);
        match execute(services, line).await {
            Ok(answer) => tracing::info!(command, answer, "done"),
            Err(reason) if services.config.admin.admin_execute_errors_ignore => {
                tracing::warn!(command, reason, "a command of admin_execute failed");
            }
            Err(reason) => {
                return Err(Error::Broken(format!("admin_execute: {command}: {reason}")));
            }
        }
    }
    let kept = services.store.get::<tables::Meta>((CURSOR,))?;
    let after = kept.and_then(|kept| kept.as_u64()).map(Position);
    let after = match after {
        Some(after) => after,
        None => note(services, services.stream.visible()).await?,
    };
    let listening = services.clone();
    Ok(async move {
        let stopping = listening.stopping.clone();
        Box::pin(stopping.run_until_cancelled(listen(listening, after))).await;
    })
}

async fn note(services: &Services, at: Position) -> Result<Position> {
    let value = at.0.into();
    let noted = services.store.put::<tables::Meta>((CURSOR,), &value);
    noted.await?;
    Ok(at)
}

async fn listen(services: AppState, mut after: Position) {
    let mut visible = services.stream.subscribe();
    let mut noted = after;
    loop {
        let until = *visible.borrow_and_update();
        while let Some((position, change)) = next(&services, after, until) {
            after = position;
            if let Change::Event(_, event) = change {
                match catch_panic(handle_event(&services, &event)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        tracing::error!(%error, event.id = %event, "admin command failed");
                    }
                    Err(panic) => {
                        tracing::error!(%panic, event.id = %event, "a command panicked; it is not run again");
                    }
                }
            }
            // There may be much to look through at a start.
            if services.stopping.is_cancelled() {
                return;
            }
        }
        after = until.max(after);
        if after.0.saturating_sub(noted.0) > NOTE_EVERY {
            match note(&services, after).await {
                Ok(at) => noted = at,
                Err(error) => {
                    tracing::warn!(%error, "could not store the position of the command listener");
                }
            }
        }
        if visible.changed().await.is_err() {
            return;
        }
    }
}

fn next(services: &Services, after: Position, until: Position) -> Option<(Position, Change)> {
    let mut rows = services
        .store
        .scan_from::<tables::Changes>((), (after.next(),));
    match rows.next()? {
        Ok(((position,), change)) if position <= until => Some((position, change)),
        Ok(_) => None,
        Err(error) => {
            tracing::error!(%error, "could not read the table of changes");
            None
        }
    }
}

async fn handle_event(services: &Services, event: &ruma::EventId) -> Result<()> {
    let Some(pdu) = services.rooms.event(event)? else {
        return Ok(());
    };
    let Some((command, speaker)) = command(services, &pdu)? else {
        return Ok(());
    };
    note(services, pdu.position).await?;
    let (Ok(text) | Err(text)) = execute(services, &command).await;
    for reply in answer::replies(&text, &pdu.event_id) {
        send(services, &pdu.room_id, speaker.clone(), &reply).await?;
    }
    Ok(())
}

/// The command in a message of an admin, and as whom it is answered.
fn command(services: &Services, pdu: &Pdu) -> Result<Option<(String, OwnedUserId)>> {
    if pdu.kind != TimelineEventType::RoomMessage {
        return Ok(None);
    }
    let Some(message) = pdu.content_as::<Message>() else {
        return Ok(None);
    };
    let own = server_user(&services.config.server_name)?;
    if message.msgtype != "m.text" || pdu.sender == own {
        return Ok(None);
    }
    let in_admin_room = admin_room::room(&services.rooms)?.is_some_and(|room| room == pdu.room_id);
    let Some(rest) = command_in(&message.body, &own, in_admin_room) else {
        return Ok(None);
    };
    if !is_admin(&services.rooms, &pdu.sender)? {
        return Ok(None);
    }
    if !in_admin_room && !services.config.admin.admin_escape_commands {
        tracing::info!(
            event.id = %pdu.event_id, user.id = %pdu.sender,
            "an admin command outside the admin room was not run: admin_escape_commands is false"
        );
        return Ok(None);
    }
    let speaker = if in_admin_room {
        own
    } else {
        pdu.sender.clone()
    };
    Ok(Some((rest.to_owned(), speaker)))
}

async fn send(
    services: &Services,
    room: &RoomId,
    sender: OwnedUserId,
    content: &Value,
) -> Result<()> {
    let mut writer = services.rooms.write(room).await?;
    let content = to_raw_value(content)?;
    writer.add(Draft::message(
        sender,
        TimelineEventType::RoomMessage,
        content,
    ))?;
    writer.commit().await.map(drop)
}

/// Says something in the admin room as the server.
pub(super) async fn send_notice(services: &Services, text: &str) -> Result<()> {
    let room = admin_room::room(&services.rooms)?
        .ok_or_else(|| Error::not_found("There is no admin room"))?;
    let own = server_user(&services.config.server_name)?;
    for content in answer::contents(text) {
        send(services, &room, own.clone(), &content).await?;
    }
    Ok(())
}
