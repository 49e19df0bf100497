//! The permits for the bodies of requests: how much memory all of them can take together.

use super::{Permits, Share};

/// How many long bodies there are at a time. With the longest that any endpoint takes this is 64 MiB.
pub(crate) const LONG_BODIES_AT_ONCE: usize = 8;
/// How many long bodies of one user there are at a time, and of one application service.
const LONG_BODIES_SHARE: Share = Share {
    user: 2,
    appservice: 4,
};
/// How much all short bodies with an access token can have, in KiB.
const AUTHENTICATED_KIB: usize = 32 << 10;
/// How much those of one user can have, and those of one application service, in KiB.
const AUTHENTICATED_SHARE_KIB: Share = Share {
    user: 2 << 10,
    appservice: 16 << 10,
};
/// How much all bodies without an access token can have, in KiB: 16 of the longest, or 1,000 logins.
const ANONYMOUS_KIB: usize = 1 << 10;
/// How much those from one address can have, in KiB: two of the longest, or 128 logins.
const ANONYMOUS_SHARE_KIB: Share = Share {
    user: 128,
    appservice: 128,
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
