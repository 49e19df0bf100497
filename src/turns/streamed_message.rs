//! A message that was begun and is edited: the part of a stage that talks to the homeserver.
//!
//! Its first text is in the outbox, so it arrives whatever happens. Edits go out directly and one at
//! a time, never while the homeserver still works on what was sent before: the next one says more
//! anyway, and the last one is in the outbox again.

use std::pin::Pin;

use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId};
use serde_json::value::RawValue;

use super::{Inner, messages::EVENT_TYPE};
use crate::{
    journal::{JournalError, OutboxItem, SendId},
    matrix::{Actor, MatrixError},
};

type Pending<T> = Option<Pin<Box<dyn Future<Output = T> + Send>>>;

/// See the module's documentation.
#[derive(Default)]
pub(super) struct StreamedMessage {
    /// Its event, once the homeserver has it.
    pub(super) event: Option<OwnedEventId>,
    /// The same while the homeserver has not answered yet.
    begun: Pending<Result<Option<OwnedEventId>, JournalError>>,
    edit: Pending<Result<OwnedEventId, MatrixError>>,
}

/// What the homeserver has answered.
pub(super) type Answered = Option<Result<OwnedEventId, MatrixError>>;

impl StreamedMessage {
    /// Whether the homeserver still works on it.
    pub(super) fn is_busy(&self) -> bool {
        self.begun.is_some() || self.edit.is_some()
    }

    /// Whether the homeserver has not confirmed its beginning.
    pub(super) fn is_beginning(&self) -> bool {
        self.begun.is_some()
    }

    /// The outbox says it, or has.
    pub(super) fn expect(&mut self, inner: &Inner, send_id: SendId) {
        let outbox = inner.ctx.outbox.clone();
        self.begun = Some(Box::pin(async move { outbox.event_of(&send_id).await }));
    }

    /// Sends an edit of it.
    pub(super) fn send(
        &mut self,
        inner: &Inner,
        (ghost, room): (OwnedUserId, OwnedRoomId),
        send_id: SendId,
        content: Box<RawValue>,
    ) {
        let (homeserver, encryption) = (inner.ctx.homeserver.clone(), inner.ctx.encryption.clone());
        let edit = OutboxItem {
            room,
            sender: ghost,
            event_type: EVENT_TYPE.to_owned(),
            send_id,
            content,
        };
        self.edit = Some(Box::pin(async move {
            let edit = encryption.encrypt(edit).await?;
            homeserver
                .send(
                    Actor::Ghost(&edit.sender),
                    &edit.room,
                    &edit.event_type,
                    &edit.send_id,
                    edit.content,
                )
                .await
        }));
    }

    /// Ready when the homeserver has answered; never if it was not asked. An edit's answer is for
    /// whoever decides what to show next.
    pub(super) async fn answered(&mut self) -> Result<Answered, JournalError> {
        if let Some(begun) = &mut self.begun {
            let event = begun.await;
            self.begun = None;
            self.event = event?;
            return Ok(None);
        }
        let Some(edit) = &mut self.edit else {
            return std::future::pending().await;
        };
        let sent = edit.await;
        self.edit = None;
        Ok(Some(sent))
    }
}
