//! Frames that were written down, told without a server.
//!
//! What a room shows of an App Server is tested against the frames of a real one. This is the way
//! from those frames to turn events: the code that runs in earnest, without its sockets and its
//! clock. The client at whose socket they were written asked and decided for itself, and so what it
//! sent is what a bridge at its place would have been asked for. Two things a bridge does by
//! itself: it sends nothing while a turn of its own runs, and it copies a conversation that is
//! stuck.
//!
//! | line | what it is |
//! |---|---|
//! | `> {…}` | a frame of the client |
//! | `< {…}` | a frame of the server |
//! | `>2 {…}`, `<2 {…}` | the same on a second socket |
//! | `! 1` | nothing more comes on the first socket; without a second one it is lost |

use super::wire::Scope;
use crate::{
    backend::{Agent, ApprovalRequest, Decision, Destination, Prompt, TurnEvent, TurnStream},
    error::BackendError,
};

mod client;
pub(super) mod player;

use player::TranscriptPlayer;

/// Why something was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// These prompts were sent.
    Asked(Vec<Prompt>),
    /// They were sent once more.
    AskedAgain,
    /// This was decided.
    Decided(ApprovalRequest, Decision),
    /// Others have started a turn.
    ExternalTurnStarted {
        /// Identifies the turn.
        key: String,
        /// What they asked, where that is known.
        prompt: Option<String>,
    },
}

/// A turn, or a part of one.
#[derive(Debug)]
pub struct RecordedTurn {
    /// Where.
    pub at: Destination,
    /// Why.
    pub cause: Cause,
    /// All that was told until the last frame. The last item is an end, unless the frames have none.
    pub items: Vec<Result<TurnEvent, BackendError>>,
}

/// All that came of a transcript.
#[derive(Debug)]
pub struct Replay {
    /// What was told, in the order in which it began.
    pub turns: Vec<RecordedTurn>,
    /// Each list of agents, as [`Backend::agents`](crate::Backend::agents) gives it.
    pub lists: Vec<Vec<Agent>>,
    /// What could not be done.
    pub failures: Vec<BackendError>,
    /// Where the client has stopped a turn that waited for approval.
    pub stopped: Vec<Destination>,
    /// Where a request for approval still waits.
    pub waiting: Vec<Destination>,
}

/// Something that began to be told.
pub(super) struct StartedTurn {
    pub(super) at: Scope,
    pub(super) cause: Cause,
    pub(super) stream: TurnStream,
}

/// Tells a transcript.
///
/// [`BackendError::Protocol`] if a line is none of the module's table, or a frame of the client is
/// not understood.
pub fn play(transcript: &str) -> Result<Replay, BackendError> {
    let mut player = TranscriptPlayer::new(true);
    for line in transcript.lines() {
        player.line(line)?;
    }
    Ok(player.into_played())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_none_is_an_error() {
        for line in ["\n", "x", "? {}", "> {", "! x"] {
            assert!(
                matches!(play(line), Err(BackendError::Protocol { .. })),
                "{line:?}"
            );
        }
    }
}
