//! Stand-in until the configuration arrives: the levels of `permissions`.

/// What a person may do, lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing.
    Block,
    /// Talk to agents.
    Talk,
    /// See and start.
    User,
    /// Everything.
    Admin,
}
