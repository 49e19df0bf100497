//! The floods, each against one thing that many share.

use super::flood::Flood;

mod bodies;
mod connections;
mod ephemeral;
mod keys;
mod picture;
mod reads;
mod rooms;
mod strangers;

macro_rules! flood {
    ($name:literal, $tasks:expr, $prepare:path) => {
        Flood {
            name: $name,
            tasks: $tasks,
            prepare: |stage| Box::pin($prepare(stage)),
        }
    };
}

/// All floods, in the order of the report.
pub const ALL: &[Flood] = &[
    flood!("push rules", (2, 4), rooms::push_rules),
    flood!("initial state", (2, 4), rooms::initial_state),
    flood!("held connections", (2, 4), connections::held),
    flood!("slow requests", (2, 4), connections::slow_requests),
    flood!("slow readers", (2, 4), connections::slow_readers),
    // Each takes gigabytes where nothing limits it.
    flood!("large logins", (2, 2), bodies::large_logins),
    flood!("thumbnails", (4, 50), bodies::thumbnails),
    flood!("uploads", (4, 8), bodies::uploads),
    flood!("account data", (4, 8), bodies::account_data),
    flood!("presence", (2, 4), ephemeral::presence),
    flood!("receipts and typing", (4, 8), ephemeral::receipts),
    flood!("to-device", (4, 8), ephemeral::to_device),
    flood!("abandoned logins", (4, 16), strangers::abandoned_logins),
    flood!("guesses", (4, 64), strangers::guesses),
    flood!("registrations", (2, 16), strangers::registrations),
    flood!("syncs", (4, 8), reads::syncs),
    flood!("messages", (4, 8), rooms::messages),
    flood!("joins", (4, 8), rooms::joins),
    flood!("room creations", (4, 8), rooms::creations),
    flood!("searches", (4, 8), reads::searches),
    flood!("pages of history", (4, 8), reads::pages),
    flood!("user directory", (4, 8), reads::user_directory),
    flood!("public rooms", (4, 8), reads::public_rooms),
    flood!("previews", (4, 16), reads::previews),
    flood!("key queries and claims", (4, 8), keys::queries),
    flood!("key backup", (2, 8), keys::backup),
];
