//! What an agent says in its new room before anybody has said anything: once, whatever comes in between.

use ruma::{OwnedRoomId, UserId};
use serde_json::value::to_raw_value;

use super::{ProvisionError, Provisioner, cannot};
use crate::{
    encryption::{ENCRYPTED_TYPE, Support},
    journal::{AgentRecord, Greeting, OutboxItem, SendId},
    matrix::{
        Actor, MatrixError,
        content::{MsgKind, Placement, message},
        render::render,
    },
};

/// The type of a message.
const MESSAGE: &str = "m.room.message";
/// What is said instead where the homeserver has encrypted the new room by itself.
const ENCRYPTED: &str = "The homeserver encrypts new rooms, and agents cannot read encrypted messages \
    yet. An admin can change that: in Synapse, set `encryption_enabled_by_default_for_room_type` to \
    `off`. Rooms that are encrypted stay so.";

impl Provisioner {
    /// Says the greeting. Where the room is encrypted, no answers are promised.
    pub(super) async fn greet(
        &self,
        record: &mut AgentRecord,
        ghost: &UserId,
        room: &OwnedRoomId,
    ) -> Result<(), ProvisionError> {
        let send_id = SendId::of(&["agent greeting", record.id.as_str()]);
        let act = Actor::Ghost(ghost);
        let was_said = match record.greeting {
            Greeting::None => return Ok(()),
            Greeting::Due => false,
            Greeting::Tried => {
                let mut was_said = false;
                for event_type in [MESSAGE, ENCRYPTED_TYPE] {
                    let found = self
                        .homeserver
                        .find_sent(act, room, ghost, event_type, &send_id);
                    let found = found.await.map_err(cannot("look for its greeting"))?;
                    was_said |= found.is_some();
                }
                was_said
            }
        };
        if !was_said {
            let encrypted = self.homeserver.is_encrypted(act, room).await;
            let encrypted = encrypted.map_err(cannot("look whether the room is encrypted"))?;
            let text = if encrypted && self.encryption.support() == Support::Unsupported {
                ENCRYPTED
            } else {
                self.config.rooms.greeting.as_str()
            };
            record.greeting = Greeting::Tried;
            self.registry.set(record.clone())?;
            self.journal.durable().await?;
            let nowhere = Placement::Room { reply_to: None };
            let content = message(render(text), MsgKind::Notice, nowhere, [], send_id.as_str());
            let content = to_raw_value(&content).map_err(|error| {
                cannot("write its greeting")(MatrixError::Request(error.to_string()))
            })?;
            let item = OutboxItem {
                room: room.clone(),
                sender: ghost.to_owned(),
                event_type: MESSAGE.to_owned(),
                send_id,
                content,
            };
            let item = self.encryption.encrypt(item).await;
            let item = item.map_err(cannot("encrypt its greeting"))?;
            self.homeserver
                .send(act, room, &item.event_type, &item.send_id, item.content)
                .await
                .map_err(cannot("greet in the room"))?;
        }
        record.greeting = Greeting::None;
        Ok(())
    }
}
