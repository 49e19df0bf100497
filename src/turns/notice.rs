//! The notice that tells a room why its message waits, and until when.
//!
//! It comes within [`TELL_AFTER`], is edited when the reason or the time changes, and once more when the wait is over: there is
//! never a second one for the same segment of a turn.

use std::time::Duration;

use letta_client::BackendError;
use tokio::time::Instant;

use super::{Inner, budget, growing::Growing, stage::Stage, words};
use crate::{
    journal::{JournalError, PauseRecord, SendId, TurnRecord, WaitNotice},
    time::Millis,
};

/// After so long a person is told why they wait. With the time that it takes to send it, less than 5 s.
pub(super) const TELL_AFTER: Duration = Duration::from_secs(4);
/// The most edits of one notice, the last one not included.
const NOTICE_EDITS_MAX: u32 = 20;

/// A wait for Letta, as it goes on.
pub(super) struct Wait {
    began: Instant,
    /// Why, in a sentence for people, and the code in it.
    text: String,
    code: String,
    /// How many questions have failed since it began.
    failures: u32,
    /// Until when the agent is paused, if that is why.
    paused_until: Option<Millis>,
    /// Whether the connection was lost in the middle of an answer.
    lost: bool,
}

impl Wait {
    /// It begins now, and nothing has failed yet.
    pub(super) fn begin() -> Self {
        Self {
            began: Instant::now(),
            text: words::no_answer_yet(),
            code: "LETTA_SILENT".to_owned(),
            failures: 0,
            paused_until: None,
            lost: false,
        }
    }

    /// The connection is lost in the middle of an answer.
    pub(super) fn lost(&mut self) {
        self.began = Instant::now();
        self.lost = true;
        self.text = words::connection_lost();
        "LETTA_UNREACHABLE".clone_into(&mut self.code);
    }

    /// A stream broke: what is waited for from now on is something new.
    pub(super) fn broke(&mut self) {
        if !self.lost {
            self.began = Instant::now();
        }
    }

    /// A question has failed, and Letta is asked again after a pause. Answers the pause.
    pub(super) fn failed(&mut self, failure: &BackendError) -> Duration {
        self.failures += 1;
        (self.paused_until, self.lost) = (None, false);
        let pause = budget::pause(self.failures, failure);
        self.text = words::waiting(failure, pause, Millis::now());
        failure.code().clone_into(&mut self.code);
        pause
    }

    /// The agent is paused. The time that is left is said anew only when the pause is another one.
    pub(super) fn paused(&mut self, pause: &PauseRecord) {
        if self.paused_until.replace(pause.until) != Some(pause.until) {
            self.text = words::paused(pause, Millis::now());
            pause.code.clone_into(&mut self.code);
        }
    }

    /// Until when the room need not be told; at once if the wait is known to take that long.
    pub(super) fn tell_at(&self, until: Option<Instant>) -> Instant {
        let tell_at = self.began + TELL_AFTER;
        match until {
            Some(until) if until > tell_at => Instant::now().min(tell_at),
            _ => tell_at,
        }
    }
}

/// The notice as the room shows it.
#[derive(Default)]
pub(super) struct Notice {
    growing: Growing,
    state: Option<WaitNotice>,
    shown: Option<String>,
    /// What it shall say at last, once the homeserver has told which event it is.
    last: Option<String>,
}

impl Notice {
    /// One that an earlier process, or an earlier wait of this segment, has left.
    pub(super) fn resumed(inner: &Inner, turn: &TurnRecord) -> Self {
        let mut notice = Self {
            state: Some(turn.waiting.unwrap_or(WaitNotice {
                open: true,
                edits: 0,
            })),
            ..Self::default()
        };
        notice.growing.expect(inner, id_of(turn));
        notice
    }

    /// Whether it says that the turn still waits.
    fn is_open(&self) -> bool {
        self.state.is_some_and(|state| state.open)
    }

    /// Ready when the homeserver has confirmed it.
    pub(super) async fn confirmed(&mut self) -> Result<(), JournalError> {
        self.growing.answered().await?;
        Ok(())
    }

    /// Whether something waits to be said about it.
    pub(super) fn is_pending(&self) -> bool {
        self.last.is_some() && self.growing.is_beginning()
    }
}

/// The id under which the notice of a turn's segment is sent.
pub(super) fn id_of(turn: &TurnRecord) -> SendId {
    turn.chapter_id().remark("waiting")
}

impl Inner {
    /// Lets the room know why it waits, if it does not know it yet.
    pub(super) async fn tell_wait(
        &self,
        turn: &TurnRecord,
        stage: &mut Stage,
        wait: &Wait,
    ) -> Result<(), JournalError> {
        let notice = &mut stage.notice;
        if notice.is_open() && notice.shown.as_ref() == Some(&wait.text) {
            return Ok(());
        }
        let Some(state) = notice.state else {
            let item = self.voice(turn).remark(turn, "waiting", &wait.text);
            self.around.outbox.say(&item).await?;
            notice.growing.expect(self, item.send_id);
            notice.state = Some(WaitNotice {
                open: true,
                edits: 0,
            });
            notice.shown = Some(wait.text.clone());
            return Ok(());
        };
        if state.edits < NOTICE_EDITS_MAX {
            self.edit_notice(turn, stage, &wait.text, true).await?;
        }
        Ok(())
    }

    /// The wait is over, and so the notice says.
    pub(super) async fn end_wait(
        &self,
        turn: &TurnRecord,
        stage: &mut Stage,
        wait: &Wait,
        in_vain: bool,
    ) -> Result<(), JournalError> {
        if !stage.notice.is_open() {
            return Ok(());
        }
        let took = wait.began.elapsed();
        let text = if wait.lost {
            words::connection_back(took)
        } else if in_vain {
            words::waited_in_vain(&wait.code, took.max(budget::waited(&turn.spent)))
        } else {
            words::waited(&wait.code, took.max(budget::waited(&turn.spent)))
        };
        stage.notice.last = Some(text);
        self.finish_notice(turn, stage).await
    }

    /// Lets the notice say what it shall say at last, if it is known which event it is.
    pub(super) async fn finish_notice(
        &self,
        turn: &TurnRecord,
        stage: &mut Stage,
    ) -> Result<(), JournalError> {
        if stage.notice.growing.is_beginning() {
            return Ok(());
        }
        if let Some(text) = stage.notice.last.take() {
            self.edit_notice(turn, stage, &text, false).await?;
        }
        Ok(())
    }

    async fn edit_notice(
        &self,
        turn: &TurnRecord,
        stage: &mut Stage,
        text: &str,
        open: bool,
    ) -> Result<(), JournalError> {
        let notice = &mut stage.notice;
        let (Some(state), Some(event)) = (&mut notice.state, &notice.growing.event) else {
            return Ok(());
        };
        state.edits += 1;
        state.open = open;
        let send_id = id_of(turn).of_its(&format!("edit{}", state.edits));
        let item = self.voice(turn).notice_edit(turn, event, text, send_id);
        notice.shown = Some(text.to_owned());
        self.around.outbox.say(&item).await
    }
}

impl Stage {
    /// Keeps in the turn what the room was told of its wait.
    pub(super) fn note_wait(&self, turn: &mut TurnRecord) {
        turn.waiting = self.notice.state;
    }
}
