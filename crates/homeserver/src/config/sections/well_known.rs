//! What `/.well-known/matrix/…` answers.
//!
//! A wrong answer is worse than none: clients follow it without asking. So nothing is answered that
//! is not written here.

use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};
use url::Url;

/// `[well_known]`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WellKnown {
    /// Where clients reach the server, for `/.well-known/matrix/client`.
    pub client: Option<Url>,
    /// Where other servers would reach it, as a host and a port, for `/.well-known/matrix/server`.
    pub server: Option<String>,
    /// A page that helps, for `/.well-known/matrix/support`.
    pub support_page: Option<Url>,
    /// What the contact below is, for example `m.role.admin`.
    pub support_role: Option<String>,
    /// The contact's mail address.
    pub support_email: Option<String>,
    /// The contact's user id.
    pub support_mxid: Option<OwnedUserId>,
    /// Whether Element encrypts new rooms and direct chats unasked (`io.element.e2ee`); its own way if nothing is said.
    pub element_e2ee_default: Option<bool>,
}
