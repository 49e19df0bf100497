//! The proof that a homeserver passes on to-device messages: without them no keys come.
//!
//! `/versions` tells nothing of it on some homeservers, so it is tried: the bot sends its own device a message.

use std::{sync::atomic::Ordering, time::Duration};

use ruma::UserId;
use tokio::time::Instant;
use tracing::{info, warn};

use super::Machines;
use crate::matrix::MatrixError;

/// The type of the message by which the bot proves that to-device messages arrive.
const PROOF_TYPE: &str = "org.letta.encryption_check";
/// How long such a message may take.
const PROOF_TIMEOUT: Duration = Duration::from_secs(30);
/// How often it is sent meanwhile.
const PROOF_INTERVAL: Duration = Duration::from_secs(5);

impl Machines {
    /// Sends the bot's own device a message. What does not bring it here would bring no keys either.
    pub(super) async fn prove(&self) {
        let (bot, began) = (self.bot.clone(), Instant::now());
        let failure = loop {
            match self.prove_once(&bot).await {
                Ok(true) => {
                    self.is_proven.store(true, Ordering::Release);
                    info!("agents read and write in encrypted rooms");
                    // What waits may be readable.
                    for room in self
                        .journal
                        .rooms_with_encrypted_events()
                        .unwrap_or_default()
                    {
                        drop(self.rooms_with_keys.send(room));
                    }
                    return;
                }
                Ok(false) if began.elapsed() > PROOF_TIMEOUT => {
                    break "no to-device messages arrive".to_owned();
                }
                Err(failure) if failure.is_permanent() => break failure.to_string(),
                Err(failure) if began.elapsed() > PROOF_TIMEOUT => break failure.to_string(),
                Ok(false) | Err(_) => {}
            }
            tokio::select! {
                () = tokio::time::sleep(PROOF_INTERVAL) => {}
                () = self.tasks.stopping() => return,
            }
        };
        warn!(
            reason = failure,
            "agents cannot read encrypted rooms: the homeserver does not support it; docs/encryption.md says what it needs"
        );
    }

    async fn prove_once(&self, bot: &UserId) -> Result<bool, MatrixError> {
        let device = {
            let (_guard, _, device) = self.opened(bot).await?;
            device
        };
        let came = self.proof_came.notified();
        self.homeserver
            .send_to_own_device(bot, &device, PROOF_TYPE)
            .await?;
        Ok(tokio::time::timeout(PROOF_INTERVAL, came).await.is_ok())
    }

    /// Whether a message is the one by which the bot proves that they arrive.
    pub(super) fn is_proof(&self, event_type: &str) -> bool {
        let is_proof = event_type == PROOF_TYPE;
        if is_proof {
            self.proof_came.notify_one();
        }
        is_proof
    }
}
