//! The rooms of the agents: what they begin with, and who is invited.

use std::time::Duration;

use letta_client::Agent;
use ruma::RoomVersionId;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

/// The rooms of the agents.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rooms {
    /// The room version of new rooms.
    #[schemars(with = "String")]
    pub version: RoomVersionId,
    /// The topic. `{name}`, `{description}` and `{model}` are replaced by the agent's; null for no
    /// topic.
    pub topic: Option<String>,
    /// How long a room waits after its agent has vanished from Letta before its door is closed. The
    /// agent comes back to the same room either way.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub removal_grace: Duration,
    /// Where people with a full user id and at least `user` in `permissions` are invited: `rooms` to the
    /// space and to every agent's room, `space` to the space only, from which they join the rooms.
    /// `auto` is `rooms` with the embedded homeserver, which accepts these invitations for them
    /// (`auto_accept_invites`), and `space` with any other.
    #[schemars(with = "String")]
    pub invite: Invite,
    /// Whether the bridge makes pictures for agents, their rooms, the space and the bot, where they
    /// have none.
    pub avatars: bool,
    /// What an agent says in its new room, once, before anybody has said anything. Markdown; an empty
    /// text for nothing. At most 2000 characters.
    #[serde(deserialize_with = "short_greeting")]
    pub greeting: String,
}

/// The longest greeting, in characters.
const GREETING_CHARS_MAX: usize = 2_000;

fn short_greeting<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let greeting = String::deserialize(deserializer)?;
    if greeting.chars().count() > GREETING_CHARS_MAX {
        return Err(de::Error::custom(format_args!(
            "expected at most {GREETING_CHARS_MAX} characters"
        )));
    }
    Ok(greeting)
}

/// Where people are invited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Invite {
    /// As fits the homeserver.
    #[default]
    Auto,
    /// To the space and to every agent's room.
    Rooms,
    /// To the space only.
    Space,
}

impl<'de> Deserialize<'de> for Invite {
    /// Earlier versions wrote `true` for `rooms` and `false` for `space`.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Bool(bool),
            Word(String),
        }
        let refused = || de::Error::custom("expected `auto`, `rooms` or `space`");
        match Written::deserialize(deserializer).map_err(|_| refused())? {
            Written::Bool(true) => Ok(Self::Rooms),
            Written::Bool(false) => Ok(Self::Space),
            Written::Word(word) => match word.to_lowercase().as_str() {
                "auto" => Ok(Self::Auto),
                "rooms" | "true" => Ok(Self::Rooms),
                "space" | "false" => Ok(Self::Space),
                _ => Err(refused()),
            },
        }
    }
}

impl Rooms {
    /// The topic of the room of `agent`; `None` if nothing would be left to say.
    pub fn topic_for(&self, agent: &Agent) -> Option<String> {
        let topic = self
            .topic
            .as_ref()?
            .replace("{name}", &agent.name)
            .replace("{model}", agent.model.as_deref().unwrap_or_default())
            .replace(
                "{description}",
                agent.description.as_deref().unwrap_or_default(),
            );
        // Topics are plain text: clients show the marks of Markdown as they are.
        let topic = topic.replace('`', "");
        Some(topic.trim().to_owned()).filter(|topic| !topic.is_empty())
    }
}

impl Default for Rooms {
    fn default() -> Self {
        Self {
            version: RoomVersionId::V11,
            topic: Some("{description}".to_owned()),
            removal_grace: Duration::from_hours(2),
            invite: Invite::Auto,
            avatars: true,
            greeting:
                "Hello. A thread is a new conversation, a 🛑 reaction stops me; `!letta help` \
                shows more."
                    .to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_plain_text() {
        let agent = |description: &str| Agent {
            id: "agent-1".parse().unwrap(),
            name: "Ada".to_owned(),
            description: Some(description.to_owned()),
            tags: Vec::new(),
            model: None,
        };
        let rooms = Rooms::default();
        for (description, topic) in [
            ("Try `slow: 12` and `md:`", Some("Try slow: 12 and md:")),
            ("```sh\nls\n```", Some("sh\nls")),
            (" ` ` ", None),
            ("2 * 3 * 4", Some("2 * 3 * 4")),
        ] {
            assert_eq!(rooms.topic_for(&agent(description)).as_deref(), topic);
        }
    }

    #[test]
    fn invite_reads_words_and_what_earlier_versions_wrote() {
        for (written, invite) in [
            ("auto", Some(Invite::Auto)),
            ("rooms", Some(Invite::Rooms)),
            ("Space", Some(Invite::Space)),
            ("true", Some(Invite::Rooms)),
            ("false", Some(Invite::Space)),
            ("'true'", Some(Invite::Rooms)),
            ("people", None),
            ("1", None),
        ] {
            let read = serde_yaml::from_str::<Invite>(written);
            match (read, invite) {
                (Ok(read), Some(invite)) => assert_eq!(read, invite, "{written}"),
                (Err(error), None) => {
                    assert!(error.to_string().contains("`auto`, `rooms` or `space`"));
                }
                (read, _) => panic!("{written}: {read:?}"),
            }
        }
    }
}
