//! The pools of bytes that there are: for the bodies of requests, and for answers that are not read yet.

use std::sync::Arc;

use super::{BytePool, PoolLimits, Waiters};
use crate::{
    limits::{
        ANONYMOUS_BYTES, ANONYMOUS_BYTES_PER_ADDRESS, AUTHENTICATED_BYTES,
        AUTHENTICATED_BYTES_PER_APPSERVICE, AUTHENTICATED_BYTES_PER_USER, BODIES_WAITING_MAX,
        BODIES_WAITING_PER_USER, BODY_GRACE, BODY_PERMIT_WAIT_MAX, LONG_BODIES_AT_ONCE,
        LONG_BODIES_PER_APPSERVICE, LONG_BODIES_PER_USER, LONG_BYTES, LONG_BYTES_PER_APPSERVICE,
        LONG_BYTES_PER_USER, UNREAD_BYTES, UNREAD_BYTES_PER_APPSERVICE, UNREAD_BYTES_PER_USER,
        UNREAD_GRACE, UNREAD_WAIT_MAX, WALKS_WAITING_MAX, WALKS_WAITING_PER_USER,
        WRITTEN_ANSWERS_MAX, WRITTEN_ANSWERS_PER_USER,
    },
    permits::{HolderLimits, Permits},
};

/// How many bytes the short bodies with an access token of one holder can have.
const AUTHENTICATED_SHARE: HolderLimits = HolderLimits {
    user: AUTHENTICATED_BYTES_PER_USER,
    appservice: AUTHENTICATED_BYTES_PER_APPSERVICE,
};
/// How many bytes the bodies without an access token from one address can have.
const ANONYMOUS_SHARE: HolderLimits = HolderLimits {
    user: ANONYMOUS_BYTES_PER_ADDRESS,
    appservice: ANONYMOUS_BYTES_PER_ADDRESS,
};
/// How many bytes the long bodies of one holder can have.
const LONG_SHARE: HolderLimits = HolderLimits {
    user: LONG_BYTES_PER_USER,
    appservice: LONG_BYTES_PER_APPSERVICE,
};
/// How many long bodies of one holder are parsed at a time. They have arrived, so nobody can hold these permits up.
const LONG_PARSES_SHARE: HolderLimits = HolderLimits {
    user: LONG_BODIES_PER_USER,
    appservice: LONG_BODIES_PER_APPSERVICE,
};
/// How many bodies wait for bytes of a pool at a time.
const WAITING: Waiters = Waiters {
    per_holder: BODIES_WAITING_PER_USER,
    total: BODIES_WAITING_MAX,
};

/// The pools of bytes for bodies. Clones are the same pools.
#[derive(Clone, Debug)]
pub struct BodyPools {
    pub(crate) anonymous: BytePool,
    pub(crate) authenticated: BytePool,
    pub(crate) long: BytePool,
    pub(crate) parses: Arc<Permits>,
}

impl Default for BodyPools {
    fn default() -> Self {
        let pool = |total, share| {
            BytePool::new(PoolLimits {
                total,
                share,
                growing: WAITING,
                beginning: WAITING,
                wait: BODY_PERMIT_WAIT_MAX,
                grace: BODY_GRACE,
            })
        };
        Self {
            anonymous: pool(ANONYMOUS_BYTES, ANONYMOUS_SHARE),
            authenticated: pool(AUTHENTICATED_BYTES, AUTHENTICATED_SHARE),
            long: pool(LONG_BYTES, LONG_SHARE),
            parses: Arc::new(Permits::new(LONG_BODIES_AT_ONCE, LONG_PARSES_SHARE)),
        }
    }
}

/// The memory for answers that are not read yet.
#[derive(Debug)]
pub struct UnreadResponses {
    pub(crate) pool: BytePool,
}

impl Default for UnreadResponses {
    fn default() -> Self {
        let pool = BytePool::new(Self::limits());
        Self { pool }
    }
}

impl UnreadResponses {
    pub(crate) const fn limits() -> PoolLimits {
        PoolLimits {
            total: UNREAD_BYTES,
            share: HolderLimits {
                user: UNREAD_BYTES_PER_USER,
                appservice: UNREAD_BYTES_PER_APPSERVICE,
            },
            growing: Waiters {
                per_holder: WRITTEN_ANSWERS_PER_USER,
                total: WRITTEN_ANSWERS_MAX,
            },
            beginning: Waiters {
                per_holder: WALKS_WAITING_PER_USER,
                total: WALKS_WAITING_MAX,
            },
            wait: UNREAD_WAIT_MAX,
            grace: UNREAD_GRACE,
        }
    }
}
