//! The permits for the bodies of requests: how much memory all of them can take together.

use super::{Permits, Share};
use crate::limits::{
    ANONYMOUS_KIB, ANONYMOUS_KIB_PER_ADDRESS, AUTHENTICATED_KIB, AUTHENTICATED_KIB_PER_APPSERVICE,
    AUTHENTICATED_KIB_PER_USER, LONG_BODIES_AT_ONCE, LONG_BODIES_PER_APPSERVICE,
    LONG_BODIES_PER_USER,
};

/// How many long bodies of one user there are at a time, and of one application service.
const LONG_BODIES_SHARE: Share = Share {
    user: LONG_BODIES_PER_USER,
    appservice: LONG_BODIES_PER_APPSERVICE,
};
/// How much those of one user can have, and those of one application service, in KiB.
const AUTHENTICATED_SHARE_KIB: Share = Share {
    user: AUTHENTICATED_KIB_PER_USER,
    appservice: AUTHENTICATED_KIB_PER_APPSERVICE,
};
/// How much those from one address can have, in KiB: two of the longest, or 128 logins.
const ANONYMOUS_SHARE_KIB: Share = Share {
    user: ANONYMOUS_KIB_PER_ADDRESS,
    appservice: ANONYMOUS_KIB_PER_ADDRESS,
};

/// The pools of permits for bodies.
#[derive(Debug)]
pub struct BodyPools {
    pub(crate) anonymous: Permits,
    pub(crate) authenticated: Permits,
    pub(crate) long: Permits,
}

impl Default for BodyPools {
    fn default() -> Self {
        Self {
            anonymous: Permits::new(ANONYMOUS_KIB, ANONYMOUS_SHARE_KIB),
            authenticated: Permits::new(AUTHENTICATED_KIB, AUTHENTICATED_SHARE_KIB),
            long: Permits::new(LONG_BODIES_AT_ONCE, LONG_BODIES_SHARE),
        }
    }
}
