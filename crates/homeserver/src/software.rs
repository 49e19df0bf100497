//! What the server says it is, and what it can do.

pub mod program;

/// What the server says it is. Whatever program runs it may give it its own name.
#[derive(Clone, Copy, Debug)]
pub struct Software {
    /// The name.
    pub name: &'static str,
    /// The version.
    pub version: &'static str,
}

impl Default for Software {
    fn default() -> Self {
        Self {
            name: env!("CARGO_PKG_NAME"),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

/// What this server can do besides the specification, by the names that clients look for.
pub(crate) const FEATURES: &[&str] = &[
    "org.matrix.e2e_cross_signing",
    "org.matrix.msc3391",
    "org.matrix.msc4076",
    "org.matrix.msc4140",
    "org.matrix.simplified_msc3575",
    "uk.tcpip.msc4133",
    "uk.tcpip.msc4133.stable",
];
