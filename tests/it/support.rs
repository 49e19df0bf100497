//! The house that the tests live in: peers, persons, wires, the bridge, and the world that puts them together.

pub mod bridge;
pub mod clients;
pub mod deployment;
pub mod embedded;
pub mod kills;
pub mod letta;
pub mod peer;
pub mod peers;
pub mod person;
pub mod process;
pub mod proxy;
pub mod room;
pub mod server;
pub mod synapse;
pub mod v1;
pub mod wire;
pub mod world;
