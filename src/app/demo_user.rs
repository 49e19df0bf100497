//! The person whom the demo has ready, and what it says to them.

use std::time::Duration;

use ruma::{OwnedRoomAliasId, OwnedUserId};
use serde_json::json;
use tokio::time::Instant;

use crate::{config::Config, matrix::Homeserver};

/// How long the space may take to come to be.
const SPACE_WAIT_MAX: Duration = Duration::from_mins(1);
/// Between two looks whether it has.
const SPACE_LOOK: Duration = Duration::from_millis(50);

/// Somebody who can log in at once.
#[derive(Clone, Debug)]
pub struct DemoUser {
    /// The full user id.
    pub user_id: OwnedUserId,
    /// The password. It is shown: a demo has nothing to hide.
    pub password: String,
    /// Whether a program reads what is said.
    pub json: bool,
}

impl DemoUser {
    /// Waits for the space of the agents, then says where to log in and as whom.
    pub(super) async fn welcome(&self, config: &Config, address: &str, homeserver: &Homeserver) {
        let alias = format!("#{}:{}", config.space.alias, config.homeserver.domain);
        let since = Instant::now();
        let mut space = None;
        if let Ok(alias) = OwnedRoomAliasId::try_from(alias) {
            while space.is_none() && since.elapsed() < SPACE_WAIT_MAX {
                space = homeserver.find_room(&alias).await.ok().flatten();
                if space.is_none() {
                    tokio::time::sleep(SPACE_LOOK).await;
                }
            }
        }
        let text = if self.json {
            let facts = json!({
                "homeserver": address, "user_id": self.user_id, "password": self.password, "space": space,
            });
            format!("{facts}\n")
        } else {
            self.words(address)
        };
        super::print_out(&text);
    }

    fn words(&self, address: &str) -> String {
        format!(
            "\nReady. Point any Matrix client (Element, Cinny, nheko, ...) at\n\n    \
             homeserver   {address}\n    user         {}\n    password     {}\n\n\
             open the space \"Letta Agents\", and say hello to an agent. The agents are scripted;\n\
             try \"slow: 12\", \"md:\" or \"say: anything\". Ctrl-C stops it; the next start goes on where this one ended.\n\n\
             For a second account, write \"!admin users create-user bob\" in the room #admins:{}; the answer has its password.\n\
             To let it talk to an agent, write \"invite Ada @bob:{}\" to the bot.\n\n",
            self.user_id.localpart(),
            self.password,
            self.user_id.server_name(),
            self.user_id.server_name(),
        )
    }
}
