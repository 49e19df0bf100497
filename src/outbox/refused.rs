//! What the homeserver has refused for good: the room hears once, by the bot, that something was lost and how that is fixed.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use ruma::{OwnedRoomId, OwnedUserId, UserId};

use crate::{
    journal::{OutboxItem, SendId},
    matrix::{
        MatrixError,
        content::{self, MsgKind, Placement},
        render::Rendered,
    },
};

/// The type of what people read. Nobody misses a reaction.
const MESSAGE: &str = "m.room.message";
/// The most rooms and users remembered; then all are forgotten, and told again at most once more.
const REFUSED_MAX: usize = 10_000;

/// Who is not heard in which room at present.
#[derive(Debug, Default)]
pub(super) struct Refused {
    known: Mutex<HashSet<(OwnedRoomId, OwnedUserId)>>,
}

impl Refused {
    /// The homeserver has taken a message, or refused it for good (`Err`). Answers what the bot has to say about that.
    pub(super) fn note<T>(
        &self,
        item: &OutboxItem,
        outcome: &Result<T, MatrixError>,
        bot: &UserId,
    ) -> Option<OutboxItem> {
        if item.event_type != MESSAGE || item.sender == bot {
            return None;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (item.room.clone(), item.sender.clone());
        let Err(failure) = outcome else {
            known.remove(&key);
            return None;
        };
        if known.len() >= REFUSED_MAX {
            known.clear();
        }
        if !known.insert(key) {
            return None;
        }
        let text = if failure.is_forbidden() {
            format!(
                "The homeserver does not let {} write here, so what it said is lost. Look whether it is in the room, banned or \
                 muted; an invitation brings it back. [AGENT_NOT_HEARD]",
                item.sender
            )
        } else {
            format!(
                "The homeserver refused a message of {}, so it is lost. An admin finds more in the log. [AGENT_NOT_HEARD]",
                item.sender
            )
        };
        let send_id: SendId = item.send_id.derived("refused");
        let placement = Placement::Room { reply_to: None };
        let content = content::message(
            Rendered::plain(&text),
            MsgKind::Notice,
            placement,
            [],
            send_id.as_str(),
        );
        Some(OutboxItem {
            room: item.room.clone(),
            sender: bot.to_owned(),
            event_type: MESSAGE.to_owned(),
            content: serde_json::value::to_raw_value(&content).unwrap_or_default(),
            send_id,
        })
    }
}
