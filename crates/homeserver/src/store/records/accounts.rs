//! How accounts, devices and tokens are stored. Tokens are stored as digests only.

use ruma::{MilliSecondsSinceUnixEpoch, OwnedDeviceId, OwnedUserId};
use serde::{Deserialize, Serialize};

/// An account.
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, as the specification has it"
)]
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    /// The Argon2id hash of the password in PHC form; nothing if there is no password to log in with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// When it was made.
    pub created: MilliSecondsSinceUnixEpoch,
    /// Whether it is gone for ever.
    #[serde(default)]
    pub deactivated: bool,
    /// Whether it is a guest's.
    #[serde(default)]
    pub guest: bool,
    /// The application service that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appservice: Option<String>,
    /// Whether it may not log in for now.
    #[serde(default)]
    pub locked: bool,
    /// Whether it may only read.
    #[serde(default)]
    pub suspended: bool,
}

/// A device of a user.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Device {
    /// Its name, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The address it was last seen at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_ip: Option<String>,
    /// When it was last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<MilliSecondsSinceUnixEpoch>,
    /// The application service that logged in with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appservice: Option<String>,
}

/// An access token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Token {
    /// Whose it is.
    pub user_id: OwnedUserId,
    /// The device that has it.
    pub device_id: OwnedDeviceId,
    /// When it ends; nothing if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<MilliSecondsSinceUnixEpoch>,
    /// The digest of the refresh token that came with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<[u8; 32]>,
    /// The digest of the refresh token that it was made with, which ends when this one is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<[u8; 32]>,
    /// The application service that it was given to, which it ends with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appservice: Option<String>,
}

/// A refresh token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RefreshToken {
    /// Whose it is.
    pub user_id: OwnedUserId,
    /// The device that has it.
    pub device_id: OwnedDeviceId,
    /// When it ends; nothing if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<MilliSecondsSinceUnixEpoch>,
}

/// What a token that ends soon is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShortTokenUse {
    /// To prove to a third party who one is (`OpenID`).
    OpenId,
    /// To log in on another device.
    Login,
}

/// A token that ends soon.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ShortToken {
    /// Whose it is.
    pub user_id: OwnedUserId,
    /// The device that asked for it, with which it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<OwnedDeviceId>,
    /// What it is for.
    pub purpose: ShortTokenUse,
    /// When it ends.
    pub expires: MilliSecondsSinceUnixEpoch,
}

/// A registration token that an admin issued.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RegistrationToken {
    /// How often it may still be used; nothing if without limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses_left: Option<u64>,
    /// When it ends; nothing if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<MilliSecondsSinceUnixEpoch>,
    /// How often it was used.
    #[serde(default)]
    pub used: u64,
    /// The only local part that it makes an account for; nothing if it makes any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub localpart: Option<String>,
}
