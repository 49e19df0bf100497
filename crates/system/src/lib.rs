//! What a server asks of the operating system, with its limits: connections, descriptors, private files, room on the disk.
//!
//! The bridge and the embedded homeserver share it; it knows neither of them.
//!
//! - [`connections`]: serves routes over sockets, so that no peer holds a connection for long and no address holds most of them.
//! - [`descriptors`]: how many files and sockets this process may have open.
//! - [`private`]: folders of mode 0700 and files of mode 0600, whatever the umask is.
//! - [`condition`]: whether a store can be written, for readiness and for whoever ends the process.
//! - [`disk`]: room on a disk.

#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        reason = "tests spawn what they need and ask what time it is"
    )
)]

pub mod condition;
pub mod connections;
pub mod descriptors;
pub mod disk;
pub mod private;
