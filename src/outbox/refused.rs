//! What the homeserver has refused for good: the room hears once, by the bot, that something was lost and how that is fixed.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use ruma::{OwnedRoomId, OwnedUserId, UserId};

use super::notice::{MESSAGE_TYPE, notice};
use crate::{
    journal::{NoticeText, OutboxItem},
    matrix::{MatrixError, content::Placement},
};

/// The code of what the room hears.
const NOT_HEARD: &str = "AGENT_NOT_HEARD";
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
        // Nobody misses a reaction.
        if item.event_type != MESSAGE_TYPE || item.sender == bot {
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
            NoticeText::new(
                format!(
                    "The homeserver does not let {} write here, so what it said is lost. Look whether it is in the room, banned or \
                     muted; an invitation brings it back.",
                    item.sender
                ),
                NOT_HEARD,
            )
        } else {
            let sentence = format!(
                "The homeserver refused a message of {}, so it is lost. An admin finds more in the log.",
                item.sender
            );
            NoticeText::new(sentence, NOT_HEARD).for_admin()
        };
        let placement = Placement::Room { reply_to: None };
        let send_id = item.send_id.derived("refused");
        Some(notice(&item.room, bot, placement, &text, send_id))
    }
}
