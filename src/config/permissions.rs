//! Who may do what: the permissions map of the mautrix bridges.
//!
//! Only full user ids, whole server names and `*` grant anything. Names that people choose
//! themselves, and local parts that exist on every server, never do.

use std::{collections::BTreeMap, fmt};

use ruma::{OwnedServerName, OwnedUserId, ServerName, UserId, owned_server_name, owned_user_id};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Everybody, in the map.
const EVERYBODY: &str = "*";
/// The domain of examples, which nobody can have.
pub(super) const EXAMPLE_DOMAIN: &str = "example.com";

/// What a person may do. Each level includes those before it.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing: they are not heard.
    #[default]
    Block,
    /// Talk to agents where they share a room.
    #[serde(alias = "relay")]
    Talk,
    /// Use commands, and be invited to agents.
    #[serde(alias = "commands")]
    User,
    /// Manage the bridge.
    Admin,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Block => "block",
            Self::Talk => "talk",
            Self::User => "user",
            Self::Admin => "admin",
        })
    }
}

/// Why a key of the map names nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PermissionsError {
    /// A pattern where only an exact id may stand.
    #[error(
        "`{0}` holds a wildcard; write a full user id like \"@alice:example.org\", a whole server \
         like \"example.org\", or \"*\" for everybody"
    )]
    Wildcard(String),
    /// It begins like a user id and is none.
    #[error("`{0}` is not a full user id; write it like \"@alice:example.org\"")]
    UserId(String),
    /// It is neither a user id nor a server name.
    #[error(
        "`{0}` is neither a user id nor a server name; display names and local parts grant \
         nothing, write a full user id like \"@alice:example.org\""
    )]
    Neither(String),
}

/// Who may do what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "BTreeMap<String, Level>", into = "BTreeMap<String, Level>")]
#[schemars(with = "BTreeMap<String, Level>", inline)]
pub struct Permissions {
    users: BTreeMap<OwnedUserId, Level>,
    servers: BTreeMap<OwnedServerName, Level>,
    everybody: Option<Level>,
}

impl Permissions {
    /// A map that names nobody: everybody is blocked.
    pub fn nobody() -> Self {
        Self {
            users: BTreeMap::new(),
            servers: BTreeMap::new(),
            everybody: None,
        }
    }

    /// What `user` may do: the full id counts before the server, the server before `*`.
    pub fn level(&self, user: &UserId) -> Level {
        self.users
            .get(user)
            .or_else(|| self.servers.get(user.server_name()))
            .copied()
            .or(self.everybody)
            .unwrap_or_default()
    }

    /// The people named by full id who may use commands. They are invited to the agents.
    pub fn people(&self) -> impl Iterator<Item = (&UserId, Level)> {
        self.users
            .iter()
            .filter(|(_, level)| **level >= Level::User)
            .map(|(user, level)| (&**user, *level))
    }

    /// Gives `user` this level.
    pub fn grant(&mut self, user: OwnedUserId, level: Level) {
        self.users.insert(user, level);
    }

    /// Gives everybody on `server` this level.
    pub fn grant_server(&mut self, server: OwnedServerName, level: Level) {
        self.servers.insert(server, level);
    }

    /// Takes away what belongs to the examples.
    pub fn forget_examples(&mut self) {
        self.users
            .retain(|user, _| user.server_name() != EXAMPLE_DOMAIN);
        self.servers.retain(|server, _| server != EXAMPLE_DOMAIN);
    }

    /// Whether it names anybody beside the examples.
    pub(super) fn names_somebody(&self) -> bool {
        self.everybody.is_some()
            || self
                .users
                .keys()
                .any(|user| user.server_name() != EXAMPLE_DOMAIN)
            || self.servers.keys().any(|server| server != EXAMPLE_DOMAIN)
    }

    /// The people that are named by full id.
    pub(super) fn users(&self) -> impl Iterator<Item = &UserId> {
        self.users.keys().map(|user| &**user)
    }

    /// The servers that are named whole.
    pub(super) fn servers(&self) -> impl Iterator<Item = &ServerName> {
        self.servers.keys().map(|server| &**server)
    }
}

impl Default for Permissions {
    fn default() -> Self {
        let mut permissions = Self::nobody();
        permissions
            .servers
            .insert(owned_server_name!("example.com"), Level::User);
        permissions
            .users
            .insert(owned_user_id!("@admin:example.com"), Level::Admin);
        permissions
    }
}

impl TryFrom<BTreeMap<String, Level>> for Permissions {
    type Error = PermissionsError;

    fn try_from(map: BTreeMap<String, Level>) -> Result<Self, PermissionsError> {
        let mut permissions = Self::nobody();
        for (key, level) in map {
            if key == EVERYBODY {
                permissions.everybody = Some(level);
            } else if key.contains(['*', '?']) {
                return Err(PermissionsError::Wildcard(key));
            } else if key.starts_with('@') {
                let user = UserId::parse(&key).map_err(|_| PermissionsError::UserId(key))?;
                permissions.users.insert(user, level);
            } else {
                let server = ServerName::parse(&key).map_err(|_| PermissionsError::Neither(key))?;
                permissions.servers.insert(server, level);
            }
        }
        Ok(permissions)
    }
}

impl From<Permissions> for BTreeMap<String, Level> {
    fn from(permissions: Permissions) -> Self {
        let everybody = permissions
            .everybody
            .map(|level| (EVERYBODY.to_owned(), level));
        let servers = permissions
            .servers
            .into_iter()
            .map(|(key, level)| (key.to_string(), level));
        let users = permissions
            .users
            .into_iter()
            .map(|(key, level)| (key.to_string(), level));
        everybody.into_iter().chain(servers).chain(users).collect()
    }
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;

    fn parse(entries: &[(&str, Level)]) -> Result<Permissions, PermissionsError> {
        let map: BTreeMap<_, _> = entries
            .iter()
            .map(|(key, level)| ((*key).to_owned(), *level))
            .collect();
        map.try_into()
    }

    #[test]
    fn the_most_exact_key_counts() {
        let map = parse(&[
            ("*", Level::Talk),
            ("house.test", Level::User),
            ("@mallory:house.test", Level::Block),
            ("@admin:elsewhere.test", Level::Admin),
        ])
        .unwrap();
        assert_eq!(map.level(user_id!("@mallory:house.test")), Level::Block);
        assert_eq!(map.level(user_id!("@alice:house.test")), Level::User);
        assert_eq!(map.level(user_id!("@admin:elsewhere.test")), Level::Admin);
        assert_eq!(map.level(user_id!("@admin:third.test")), Level::Talk);
        assert_eq!(
            Permissions::nobody().level(user_id!("@alice:house.test")),
            Level::Block
        );
        let people: Vec<_> = map.people().collect();
        assert_eq!(people, [(user_id!("@admin:elsewhere.test"), Level::Admin)]);
    }

    #[test]
    fn a_subdomain_and_a_port_are_other_servers() {
        let map = parse(&[("house.test", Level::Admin)]).unwrap();
        for user in ["@a:sub.house.test", "@a:house.test:8448", "@a:xhouse.test"] {
            assert_eq!(
                map.level(&UserId::parse(user).unwrap()),
                Level::Block,
                "{user}"
            );
        }
    }

    #[test]
    fn the_words_of_mautrix_are_known() {
        let level = |text: &str| serde_yaml::from_str::<Level>(text).unwrap();
        assert_eq!(level("relay"), Level::Talk);
        assert_eq!(level("commands"), Level::User);
        assert!(Level::Block < Level::Talk && Level::Talk < Level::User);
        assert!(Level::User < Level::Admin);
    }

    #[test]
    fn what_names_nobody_is_refused() {
        let wrong = |key| parse(&[(key, Level::User)]).unwrap_err().to_string();
        insta::assert_snapshot!(wrong("@*:house.test"), @r#"`@*:house.test` holds a wildcard; write a full user id like "@alice:example.org", a whole server like "example.org", or "*" for everybody"#);
        insta::assert_snapshot!(wrong("@alice"), @r#"`@alice` is not a full user id; write it like "@alice:example.org""#);
        insta::assert_snapshot!(wrong("Alice Liddell"), @r#"`Alice Liddell` is neither a user id nor a server name; display names and local parts grant nothing, write a full user id like "@alice:example.org""#);
        insta::assert_snapshot!(wrong("alice:house.test"), @r#"`alice:house.test` is neither a user id nor a server name; display names and local parts grant nothing, write a full user id like "@alice:example.org""#);
    }
}
