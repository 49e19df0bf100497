//! Who is who: agent ids, ghosts and room aliases are functions of each other.
//!
//! `agent-e54fc601-4773-…` is `@agent_e54fc601_4773_…:server` and `#agent_e54fc601_4773_…:server`,
//! for ever, whatever the agent is called. An agent id holds `[a-z0-9-]` only and a ghost's name
//! `[a-z0-9_]` only, so swapping `-` and `_` loses nothing: two agents never share a ghost.
//!
//! Nothing here knows I/O, and nothing is looked up.

use letta_client::AgentId;
use ruma::{
    IdParseError, OwnedRoomAliasId, OwnedServerName, OwnedUserId, RoomAliasId, ServerName, UserId,
};

mod template;

pub use template::{TemplateError, UsernameTemplate};

/// The longest Matrix id, in bytes.
///
/// <https://spec.matrix.org/v1.19/appendices/#user-identifiers>
const MATRIX_ID_BYTES_MAX: usize = 255;

/// Why names cannot be given to the bot, the space and the agents as configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The server's name leaves no room for an agent's.
    #[error("the server name has {length} bytes, at most {max} leave room for the names of agents")]
    DomainTooLong {
        /// What it has, in bytes.
        length: usize,
        /// What it may have with this username template, in bytes.
        max: usize,
    },
    /// The bot's name is not one that Matrix allows.
    #[error("`{0}` is not a user name; use a-z, 0-9 and `._=-/+`")]
    Bot(String),
    /// The space's alias is not one that Matrix allows.
    #[error("`{0}` is not a room alias; give the part between `#` and `:` only")]
    SpaceAlias(String),
    /// The bot or the space could be taken for an agent.
    #[error("`{name}` begins like an agent's name (`{prefix}…`); choose another")]
    LooksLikeAgent {
        /// The name that is taken.
        name: String,
        /// What the names of agents begin with.
        prefix: String,
    },
}

/// The names of the bot, the space and every agent on one homeserver.
#[derive(Clone, Debug)]
pub struct Identity {
    domain: OwnedServerName,
    template: UsernameTemplate,
    bot: OwnedUserId,
    space_alias: OwnedRoomAliasId,
}

impl Identity {
    /// Checks that all names are possible and none can be mistaken for another.
    ///
    /// `bot` and `space_alias` are localparts.
    pub fn new(
        domain: &ServerName,
        template: UsernameTemplate,
        bot: &str,
        space_alias: &str,
    ) -> Result<Self, IdentityError> {
        let name_bytes = template.prefix().len() + AgentId::BYTES_MAX - AgentId::PREFIX.len();
        let max = MATRIX_ID_BYTES_MAX - "@:".len() - name_bytes;
        if domain.as_str().len() > max {
            return Err(IdentityError::DomainTooLong {
                length: domain.as_str().len(),
                max,
            });
        }
        for name in [bot, space_alias] {
            if name.starts_with(template.prefix()) {
                return Err(IdentityError::LooksLikeAgent {
                    name: name.to_owned(),
                    prefix: template.prefix().to_owned(),
                });
            }
        }
        let bot = UserId::parse(format!("@{bot}:{domain}"))
            .ok()
            .filter(|id| id.validate_strict().is_ok())
            .ok_or_else(|| IdentityError::Bot(bot.to_owned()))?;
        let space_alias = Some(space_alias)
            .filter(|alias| !alias.is_empty() && !alias.contains(['#', ':']))
            .and_then(|alias| RoomAliasId::parse(format!("#{alias}:{domain}")).ok())
            .ok_or_else(|| IdentityError::SpaceAlias(space_alias.to_owned()))?;
        Ok(Self {
            domain: domain.to_owned(),
            template,
            bot,
            space_alias,
        })
    }

    /// The homeserver's name.
    pub fn domain(&self) -> &ServerName {
        &self.domain
    }

    /// How the names of agents are made.
    pub fn template(&self) -> &UsernameTemplate {
        &self.template
    }

    /// The application service's own user.
    pub fn bot(&self) -> &UserId {
        &self.bot
    }

    /// The alias of the space that holds every agent's room.
    pub fn space_alias(&self) -> &RoomAliasId {
        &self.space_alias
    }

    /// The user that speaks for `agent`.
    pub fn ghost(&self, agent: &AgentId) -> OwnedUserId {
        let text = format!("@{}:{}", self.template.localpart(agent), self.domain);
        valid(UserId::parse(text))
    }

    /// The agent that `user` speaks for, if it is a ghost of ours.
    pub fn agent_of(&self, user: &UserId) -> Option<AgentId> {
        (user.server_name() == self.domain)
            .then(|| self.template.parse_localpart(user.localpart()))
            .flatten()
    }

    /// The alias by which the room of `agent` is found again.
    pub fn alias(&self, agent: &AgentId) -> OwnedRoomAliasId {
        let text = format!("#{}:{}", self.template.localpart(agent), self.domain);
        valid(RoomAliasId::parse(text))
    }

    /// The agent whose room `alias` names.
    pub fn agent_of_alias(&self, alias: &RoomAliasId) -> Option<AgentId> {
        (alias.server_name() == self.domain)
            .then(|| self.template.parse_localpart(alias.alias()))
            .flatten()
    }

    /// Whether both are agents.
    pub fn are_agents(&self, one: &UserId, other: &UserId) -> bool {
        self.agent_of(one).is_some() && self.agent_of(other).is_some()
    }

    /// Whether `user` is the bot or lies in the namespace of ghosts, an agent's or not.
    pub fn is_ours(&self, user: &UserId) -> bool {
        user == self.bot
            || (user.server_name() == self.domain
                && user.localpart().starts_with(self.template.prefix()))
    }
}

/// An id made of an agent's: `Identity::new` left room for the longest, and the characters of agent
/// ids are a subset of Matrix's.
#[expect(
    clippy::expect_used,
    reason = "the property tests cover every agent id there can be"
)]
fn valid<T>(id: Result<T, IdParseError>) -> T {
    id.expect("an id that is made of an agent's is valid")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ruma::{server_name, user_id};

    use super::*;

    fn identity() -> Identity {
        let template = "agent_{id}".parse().expect("valid");
        Identity::new(
            server_name!("house.test:8448"),
            template,
            "letta",
            "letta_agents",
        )
        .expect("valid")
    }

    fn new(domain: &str, bot: &str, alias: &str) -> Result<Identity, IdentityError> {
        let domain = ServerName::parse(domain).expect("valid");
        Identity::new(&domain, "agent_{id}".parse().expect("valid"), bot, alias)
    }

    #[test]
    fn an_agent_has_one_ghost_and_one_alias() {
        let agent = AgentId::parse("agent-e54fc601-4773-4116-9c5f-0d0f1e3c4a5b").expect("valid");
        let names = identity();
        assert_eq!(
            names.ghost(&agent),
            "@agent_e54fc601_4773_4116_9c5f_0d0f1e3c4a5b:house.test:8448"
        );
        assert_eq!(
            names.alias(&agent),
            "#agent_e54fc601_4773_4116_9c5f_0d0f1e3c4a5b:house.test:8448"
        );
        let local = AgentId::parse("agent-local-7").expect("valid");
        assert_eq!(names.ghost(&local), "@agent_local_7:house.test:8448");
    }

    #[test]
    fn foreign_user_ids_map_to_no_agent() {
        let names = identity();
        for id in [
            "@agent_7:elsewhere.test",
            "@agent-7:house.test:8448",
            "@agent_7-8:house.test:8448",
            "@agent_A:house.test:8448",
            "@agent_:house.test:8448",
            "@letta:house.test:8448",
            "@alice:house.test:8448",
        ] {
            assert_eq!(
                names.agent_of(<&UserId>::try_from(id).expect("valid")),
                None,
                "{id}"
            );
        }
        assert!(names.is_ours(user_id!("@agent_A:house.test:8448")));
        assert!(names.is_ours(user_id!("@letta:house.test:8448")));
        assert!(!names.is_ours(user_id!("@letta:elsewhere.test")));
        assert!(!names.is_ours(user_id!("@agent:house.test:8448")));
    }

    #[test]
    fn names_that_could_be_mistaken_are_refused() {
        let wrong = |bot, alias| {
            new("house.test", bot, alias)
                .map(drop)
                .unwrap_err()
                .to_string()
        };
        insta::assert_snapshot!(wrong("agent_bot", "letta_agents"), @"`agent_bot` begins like an agent's name (`agent_…`); choose another");
        insta::assert_snapshot!(wrong("letta", "agent_s"), @"`agent_s` begins like an agent's name (`agent_…`); choose another");
        insta::assert_snapshot!(wrong("Letta Bot", "x"), @"`Letta Bot` is not a user name; use a-z, 0-9 and `._=-/+`");
        insta::assert_snapshot!(wrong("letta", "#x:house.test"), @"`#x:house.test` is not a room alias; give the part between `#` and `:` only");
        let long = format!("{}.test", "a".repeat(160));
        insta::assert_snapshot!(new(&long, "letta", "x").map(drop).unwrap_err(), @"the server name has 165 bytes, at most 153 leave room for the names of agents");
    }

    proptest! {
        #[test]
        fn agent_id_and_ghost_round_trip(rest in "[a-z0-9-]{1,94}") {
            let names = identity();
            let agent = AgentId::parse(format!("agent-{rest}")).unwrap();
            prop_assert_eq!(names.agent_of(&names.ghost(&agent)), Some(agent.clone()));
            prop_assert_eq!(names.agent_of_alias(&names.alias(&agent)), Some(agent.clone()));
            prop_assert!(names.is_ours(&names.ghost(&agent)));
        }

        #[test]
        fn two_agents_never_share_a_ghost(a in "[a-c-]{1,5}", b in "[a-c-]{1,5}") {
            let names = identity();
            let parse = |rest: &str| AgentId::parse(format!("agent-{rest}")).unwrap();
            prop_assert_eq!(names.ghost(&parse(&a)) == names.ghost(&parse(&b)), a == b);
        }

        #[test]
        fn the_longest_names_fit(rest in "[a-z0-9-]{94}", domain in "[a-z]{153}") {
            let names = new(&domain, "letta", "letta_agents").unwrap();
            let agent = AgentId::parse(format!("agent-{rest}")).unwrap();
            let (ghost, alias) = (names.ghost(&agent), names.alias(&agent));
            prop_assert_eq!(ghost.server_name(), names.domain());
            prop_assert_eq!(alias.server_name(), names.domain());
        }

        #[test]
        fn any_user_id_is_at_most_one_agent(localpart in "agent_[a-zA-Z0-9_.=/+-]{0,20}") {
            let names = identity();
            let user = UserId::parse(format!("@{localpart}:house.test:8448")).unwrap();
            if let Some(agent) = names.agent_of(&user) {
                prop_assert_eq!(names.ghost(&agent), user);
            }
        }
    }
}
