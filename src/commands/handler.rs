//! Carries out what people ask of the bot, and says what came of it.
//!
//! Every command is answered, also one that may not be given. Answers are notices in the outbox
//! under an id made of the command's event, so a command that is run again after a crash is
//! answered once.

use std::sync::Arc;

use ruma::{OwnedUserId, UserId, events::room::message::MessageType};
use tokio::sync::{Notify, watch};
use tracing::{info, warn};

use super::{Command, Definition, Parsed, is_stale, parse, refusal};
use crate::{
    agents::{Agents, discovery::DiscoveryStatus},
    encryption::Encryption,
    journal::{Journal, JournalError, NoticeText, RoomKind, RoomRecord, SendId},
    matrix::{Homeserver, content::Placement},
    outbox::{Outbox, markdown_notices},
    room_jobs::RoomJobError,
    time::Millis,
    turns::{
        Turns,
        decide::{Requester, RoomThread, StopError},
        reaction_command::ReactionCommand,
        route::{EventContent, IncomingEvent, Rules},
    },
};

/// What is said of a command that failed for a reason of the bridge or of the homeserver.
const NOT_DONE: (&str, &str) = (
    "This could not be done. The log of the bridge says why, under the id of your event. Try again.",
    "NOT_DONE",
);

/// What is said of a file, a picture or an emote in a management room.
const NOT_TEXT: (&str, &str) = (
    "Only text messages are commands here, so this did nothing. `help` lists all commands.",
    "NOT_A_COMMAND",
);

/// See the module's documentation. Cheap to clone.
#[derive(Clone)]
pub struct CommandHandler {
    pub(super) ctx: Arc<CommandContext>,
}

/// What the handler works with.
pub struct CommandContext {
    /// The durable record.
    pub journal: Journal,
    /// What must be said.
    pub outbox: Outbox,
    /// What encrypts for rooms.
    pub encryption: Encryption,
    /// The homeserver.
    pub homeserver: Homeserver,
    /// The agents.
    pub agents: Agents,
    /// The turns.
    pub turns: Turns,
    /// Who is who, and who may do what.
    pub rules: Rules,
    /// What discovery sees.
    pub discovery_status: watch::Receiver<DiscoveryStatus>,
    /// Tells that the journal has new events.
    pub arrived: Arc<Notify>,
    /// The id of the appservice, for pings.
    pub appservice_id: String,
    /// When the bridge began.
    pub began: Millis,
}

impl CommandHandler {
    /// A handler at this desk.
    pub fn new(ctx: CommandContext) -> Self {
        Self { ctx: Arc::new(ctx) }
    }

    /// Carries out the command that an event holds, and answers.
    pub async fn command(
        &self,
        event: &IncomingEvent,
        admitted_at: Millis,
    ) -> Result<(), RoomJobError> {
        let Some(room) = self.ctx.journal.room(&event.room_id)? else {
            return Ok(());
        };
        let management =
            matches!(&room.kind, RoomKind::Management { user } if *user == event.sender);
        let Some(body) = text_of(event) else {
            let (text, code) = NOT_TEXT;
            return self
                .answer(event, &room, &NoticeText::new(text, code))
                .await;
        };
        let text = match parse(body, management) {
            Parsed::NotACommand => return Ok(()),
            Parsed::Problem(problem) => NoticeText::new(problem, ""),
            Parsed::Command(..) if is_stale(event.origin_server_ts, admitted_at.0) => {
                NoticeText::new(
                    "This command came more than 5 minutes late, so it was not run. Give it again if you still want it.",
                    "STALE_COMMAND",
                )
            }
            Parsed::Command(definition, command) => {
                info!(user = %event.sender, room.id = %event.room_id, command = definition.name, "command");
                self.permitted(definition, &command, event, management)
                    .await?
            }
        };
        self.answer(event, &room, &text).await
    }

    /// Does what a reaction asks for, if it is one to something that a turn has said.
    pub async fn reaction(&self, event: &IncomingEvent) -> Result<(), RoomJobError> {
        let EventContent::Reaction {
            command: Some(command),
            on,
            ..
        } = &event.content
        else {
            return Ok(());
        };
        let location = Self::location(event);
        if *command == ReactionCommand::Approve && self.leave_encryption(event, on).await? {
            return Ok(());
        }
        match self
            .ctx
            .turns
            .handle_reaction(&location, on, *command, self.requester(event))
            .await
        {
            Ok(()) => Ok(()),
            Err(StopError::Journal(failure)) => Err(failure.into()),
            Err(StopError::Letta(failure)) => {
                warn!(
                    room.id = %event.room_id, error = &failure as &dyn std::error::Error,
                    "could not cancel the run; the turn stops without it"
                );
                Ok(())
            }
        }
    }

    /// Who asks, and what they may do.
    pub(super) fn requester<'a>(&self, event: &'a IncomingEvent) -> Requester<'a> {
        Requester {
            user: &event.sender,
            level: self.ctx.rules.permissions.level(&event.sender),
        }
    }

    /// Where they ask.
    pub(super) fn location(event: &IncomingEvent) -> RoomThread {
        RoomThread {
            room: event.room_id.clone(),
            thread: event.thread().cloned(),
        }
    }

    async fn permitted(
        &self,
        definition: &Definition,
        command: &Command,
        event: &IncomingEvent,
        in_management_room: bool,
    ) -> Result<NoticeText, RoomJobError> {
        let level = self.ctx.rules.permissions.level(&event.sender);
        if level < definition.level {
            return Ok(NoticeText::new(refusal(definition, level), "NOT_PERMITTED"));
        }
        self.carry_out(command, event, level, in_management_room)
            .await
    }

    /// Says something in answer to an event, once.
    async fn answer(
        &self,
        event: &IncomingEvent,
        room: &RoomRecord,
        text: &NoticeText,
    ) -> Result<(), RoomJobError> {
        let send_id = SendId::of(&["answer", event.event_id.as_str()]);
        let reply_to = Some(event.event_id.clone());
        let placement = match event.thread().cloned() {
            Some(root) => Placement::Thread { root, reply_to },
            None => Placement::Room { reply_to },
        };
        self.enqueue(
            event,
            &self.answering_user(room),
            &placement,
            text,
            &send_id,
        )
        .await?;
        Ok(())
    }

    /// Says that what an event asked for could not be done. An invitation is left open instead: nobody of us is in its room.
    pub async fn report_failure(&self, event: &IncomingEvent) -> Result<(), JournalError> {
        let Some(room) = self.ctx.journal.room(&event.room_id)? else {
            return Ok(());
        };
        let (text, code) = NOT_DONE;
        let text = NoticeText::new(text, code).for_admin();
        match self.answer(event, &room, &text).await {
            Ok(()) | Err(RoomJobError::Matrix(_) | RoomJobError::Letta(_)) => Ok(()),
            Err(RoomJobError::Journal(failure)) => Err(failure),
        }
    }

    /// Says something about an event that asks for no answer, once.
    pub(super) async fn notice(
        &self,
        event: &IncomingEvent,
        text: &NoticeText,
    ) -> Result<(), JournalError> {
        let send_id = SendId::of(&["remark", event.event_id.as_str()]);
        let placement = Placement::Room { reply_to: None };
        let bot = self.ctx.rules.identity.bot();
        self.enqueue(event, bot, &placement, text, &send_id).await
    }

    /// Says something by itself, once.
    pub(super) async fn greet(
        &self,
        event: &IncomingEvent,
        sender: OwnedUserId,
        text: &str,
    ) -> Result<(), JournalError> {
        let send_id = SendId::of(&["greeting", event.room_id.as_str(), sender.as_str()]);
        let placement = Placement::Room { reply_to: None };
        let text = NoticeText::new(text, "");
        self.enqueue(event, &sender, &placement, &text, &send_id)
            .await
    }

    pub(super) async fn enqueue(
        &self,
        event: &IncomingEvent,
        sender: &UserId,
        placement: &Placement,
        text: &NoticeText,
        send_id: &SendId,
    ) -> Result<(), JournalError> {
        for item in markdown_notices(&event.room_id, sender, placement, text, send_id) {
            self.ctx.outbox.enqueue(&item).await?;
        }
        Ok(())
    }

    /// Who of us answers in a room: the bot where it is, else a ghost that is.
    fn answering_user(&self, room: &RoomRecord) -> OwnedUserId {
        let identity = &self.ctx.rules.identity;
        match room.guests.keys().next() {
            Some(guest) if !room.bot => identity.ghost(guest),
            _ => identity.bot().to_owned(),
        }
    }

    /// Whether a user is one of our ghosts.
    pub(super) fn is_bot(&self, user: &UserId) -> bool {
        user == self.ctx.rules.identity.bot()
    }
}

/// The text of a text message. The name of a file or the description of a picture is no command, whatever it says.
fn text_of(event: &IncomingEvent) -> Option<&str> {
    match &event.message()?.msgtype {
        MessageType::Text(text) => Some(&text.body),
        _ => None,
    }
}
