//! Whether the homeserver passes on to-device messages: without them no keys come.
//!
//! `/versions` tells nothing of it on some homeservers, so it is tried: the bot sends its own device a message.

use std::time::Duration;

use ruma::UserId;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{Machines, Support};
use crate::matrix::MatrixError;

/// The type of the message that the bot sends its own device.
const SUPPORT_CHECK_TYPE: &str = "org.letta.encryption_check";
/// After so long without it the homeserver is taken to pass on none.
const SUPPORT_CHECK_TIMEOUT: Duration = Duration::from_secs(30);
/// How often it is sent meanwhile.
const SUPPORT_CHECK_INTERVAL: Duration = Duration::from_secs(5);

impl Machines {
    /// Sends the bot's own device a message until it comes.
    pub(super) async fn check_support(&self) {
        let (bot, began) = (self.bot.clone(), Instant::now());
        let failure = loop {
            match self.check_support_once(&bot).await {
                Ok(true) => {
                    self.set_support(Support::Supported);
                    return info!("agents read and write in encrypted rooms");
                }
                Err(failure) if failure.is_permanent() => break failure.to_string(),
                Ok(false) if began.elapsed() > SUPPORT_CHECK_TIMEOUT => {
                    break "no to-device messages arrive".to_owned();
                }
                Err(failure) if began.elapsed() > SUPPORT_CHECK_TIMEOUT => {
                    break failure.to_string();
                }
                Ok(false) | Err(_) => {}
            }
            tokio::select! {
                () = tokio::time::sleep(SUPPORT_CHECK_INTERVAL) => {}
                () = self.tasks.stopping() => return,
            }
        };
        if self.support() == Support::Supported {
            return warn!(
                reason = failure,
                "the homeserver no longer passes on room keys: messages in encrypted rooms may stay unreadable; see docs/encryption.md"
            );
        }
        warn!(
            reason = failure,
            "agents cannot read encrypted rooms: the homeserver does not support it; docs/encryption.md says what it needs"
        );
        // Clients would encrypt for a device to which no key comes.
        if let Err(error) = self.discard_device(&bot).await {
            warn!(
                error = &error as &dyn std::error::Error,
                "could not delete the bot's device"
            );
        }
        self.set_support(Support::Unsupported);
    }

    /// What waits to be decrypted is looked at again, whatever is known now.
    fn set_support(&self, support: Support) {
        self.support.send_replace(support);
        match self.journal.rooms_with_encrypted_events() {
            Ok(rooms) => {
                for room in rooms {
                    drop(self.rooms_to_decrypt.send(room));
                }
            }
            Err(error) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "could not look for encrypted events"
                );
            }
        }
    }

    async fn check_support_once(&self, bot: &UserId) -> Result<bool, MatrixError> {
        let (_, _, device) = self.open_machine(bot).await?;
        let came = self.support_check_came.notified();
        self.homeserver
            .send_to_own_device(bot, &device, SUPPORT_CHECK_TYPE)
            .await?;
        let came = tokio::time::timeout(SUPPORT_CHECK_INTERVAL, came)
            .await
            .is_ok();
        if came {
            self.note_receives(bot, device).await?;
        }
        Ok(came)
    }

    /// Whether a message is that of [`Machines::check_support`], which is noted.
    pub(super) fn is_support_check(&self, event_type: &str) -> bool {
        let is_support_check = event_type == SUPPORT_CHECK_TYPE;
        if is_support_check {
            self.support_check_came.notify_one();
        }
        is_support_check
    }
}
