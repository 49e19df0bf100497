//! The notice that tells a room why its message waits, and until when.
//!
//! It comes within [`TELL_AFTER`], is edited when the reason or the time changes, and once more when the wait is over: there is
//! never a second one for the same segment of a turn.

use std::time::Duration;

use letta_client::{BackendError, FailureKind};
use ruma::OwnedEventId;
use tokio::time::Instant;

use super::{Inner, budget, notice_texts, streamed_message::StreamedMessage, turn_view::TurnView};
use crate::{
    journal::{JournalError, NoticeText, OutboxItem, PauseRecord, SendId, TurnRecord, WaitNotice},
    time::Millis,
};

/// After so long a person is told why they wait. With the time that it takes to send it, less than 5 s.
pub(super) const TELL_AFTER: Duration = Duration::from_secs(4);
/// The most edits of one notice while it waits. The last of them names no time, since no other one would correct it.
const NOTICE_EDITS_MAX: u32 = 20;
/// How much of the hash of an edit's words is in its id, in characters.
const EDIT_HASH_CHARS: usize = 8;
/// The code of a wait of which nothing is known yet.
const SILENT: &str = "LETTA_SILENT";

/// A wait for Letta, as it goes on.
pub(super) struct Wait {
    /// From when on it is counted how long the room has heard nothing.
    began: Instant,
    /// Since when it goes on, also in processes before this one.
    since: Instant,
    /// Why.
    text: NoticeText,
    code: String,
    /// How many questions have failed since it began.
    failures: u32,
    /// Until when the agent is paused, if that is why.
    paused_until: Option<Millis>,
    /// Since when it is paused.
    paused_since: Option<Millis>,
    /// Whether the connection was lost in the middle of an answer.
    lost: bool,
    /// Whether Letta asks the model provider again by itself.
    retrying: bool,
}

impl Wait {
    /// It begins now, and nothing has failed yet; or it goes on from an earlier process, which has told the room so.
    pub(super) fn begin(turn: &TurnRecord) -> Self {
        let fresh = Self {
            began: Instant::now(),
            since: Instant::now(),
            text: notice_texts::no_answer_yet(),
            code: SILENT.to_owned(),
            failures: 0,
            paused_until: None,
            paused_since: None,
            lost: false,
            retrying: false,
        };
        match &turn.shown.waiting {
            Some(notice) if notice.open => fresh.resumed(notice, turn),
            _ => fresh,
        }
    }

    /// It is the one that the room was told of.
    fn resumed(mut self, notice: &WaitNotice, turn: &TurnRecord) -> Self {
        let since = notice.since.unwrap_or(turn.started_at);
        let before = self.began.checked_sub(Millis::now().since(since));
        self.since = before.unwrap_or(self.began);
        self.lost = notice.lost;
        if !notice.code.is_empty() {
            self.code.clone_from(&notice.code);
        }
        self
    }

    /// The same in the calendar.
    fn since(&self) -> Millis {
        Millis::now().minus(self.since.elapsed())
    }

    /// The connection is lost in the middle of an answer.
    pub(super) fn lost(&mut self) {
        (self.began, self.since) = (Instant::now(), Instant::now());
        self.lost = true;
        self.text = notice_texts::connection_lost();
        "LETTA_UNREACHABLE".clone_into(&mut self.code);
    }

    /// The model provider has failed in the middle of a turn, and Letta asks it again after `delay`.
    pub(super) fn retrying(&mut self, kind: &FailureKind, delay: Duration) {
        if !std::mem::replace(&mut self.retrying, true) && !self.lost {
            (self.began, self.since) = (Instant::now(), Instant::now());
        }
        self.lost = false;
        self.text = notice_texts::provider_retried(kind, delay, Millis::now());
        notice_texts::PROVIDER_RETRIED.clone_into(&mut self.code);
    }

    /// Something has come of the answer.
    pub(super) fn answered(&mut self) {
        self.retrying = false;
    }

    /// A stream has broken or ended: what is waited for from now on is something new, unless the room was told of it.
    pub(super) fn restart(&mut self, is_told: bool) {
        self.retrying = false;
        if self.lost {
            return;
        }
        self.began = Instant::now();
        if !is_told {
            self.since = self.began;
        }
    }

    /// How long it goes on.
    fn took(&self, turn: &TurnRecord) -> Duration {
        let took = self.since.elapsed();
        if self.lost {
            took
        } else {
            took.max(budget::waited(&turn.spent))
        }
    }

    /// What the room is told once it is over.
    fn over(&self, turn: &TurnRecord, in_vain: bool) -> NoticeText {
        let took = self.took(turn);
        if self.lost {
            notice_texts::connection_back(took)
        } else if in_vain {
            notice_texts::waited_in_vain(&self.code, took)
        } else {
            notice_texts::waited(&self.code, took)
        }
    }

    /// A question has failed, and Letta is asked again after a pause. Answers the pause.
    pub(super) fn failed(&mut self, failure: &BackendError) -> Duration {
        self.failures += 1;
        (self.paused_until, self.paused_since, self.lost) = (None, None, false);
        let pause = budget::pause(self.failures, failure);
        self.text = notice_texts::waiting(failure, pause, Millis::now());
        failure.code().clone_into(&mut self.code);
        pause
    }

    /// The agent is paused. The time that is left is said anew only when the pause is another one.
    pub(super) fn paused(&mut self, pause: &PauseRecord) {
        self.paused_since = Some(pause.since);
        if self.paused_until.replace(pause.until) != Some(pause.until) {
            self.text = notice_texts::paused(pause, Millis::now());
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
    message: StreamedMessage,
    state: Option<WaitNotice>,
    shown: Option<NoticeText>,
    /// What it shall say at last, once the homeserver has told which event it is.
    last: Option<NoticeText>,
}

impl Notice {
    /// One that an earlier process, or an earlier wait of this segment, has left.
    pub(super) fn resumed(inner: &Inner, turn: &TurnRecord) -> Self {
        let mut notice = Self {
            // An earlier process has ended before it could note what it had told.
            state: Some(turn.shown.waiting.clone().unwrap_or_else(|| WaitNotice {
                open: true,
                ..WaitNotice::default()
            })),
            ..Self::default()
        };
        notice.message.expect(inner, id_of(turn));
        notice
    }

    /// Since when the agent is paused, as it was told last.
    pub(super) fn pause_told(&self) -> Option<Millis> {
        self.state.as_ref().and_then(|state| state.pause)
    }

    /// Whether it says that the turn still waits.
    pub(super) fn is_open(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.open)
    }

    /// Ready when the homeserver has confirmed it.
    pub(super) async fn until_confirmed(&mut self) -> Result<(), JournalError> {
        self.message.answered().await?;
        Ok(())
    }

    /// Its event, once the homeserver has it.
    pub(super) fn event(&self) -> Option<&OwnedEventId> {
        self.message.event.as_ref()
    }

    /// Whether something waits to be said about it.
    pub(super) fn is_pending(&self) -> bool {
        self.last.is_some() && self.message.is_beginning()
    }
}

/// The id under which the notice of a turn's segment is sent.
pub(super) fn id_of(turn: &TurnRecord) -> SendId {
    turn.segment_id().notice_id("waiting")
}

/// The id of an edit of the notice. How many there were may not be known after a crash, and an id that was used before for other
/// words would be dropped by the homeserver.
fn edit_id(turn: &TurnRecord, number: u32, text: &NoticeText) -> SendId {
    let words = SendId::of(&[&text.sentence]);
    let words = &words.as_str()[..EDIT_HASH_CHARS];
    id_of(turn).derived(&format!("edit{number}-{words}"))
}

impl Inner {
    /// Lets the room know why it waits, if it does not know it yet.
    pub(super) async fn tell_wait(
        &self,
        turn: &TurnRecord,
        view: &mut TurnView,
        wait: &Wait,
    ) -> Result<(), JournalError> {
        let notice = &mut view.notice;
        if notice.is_open() && notice.shown.as_ref() == Some(&wait.text) {
            return Ok(());
        }
        // What was to be said of an earlier wait is no longer true.
        notice.last = None;
        let Some(state) = &mut notice.state else {
            let item = self
                .message_builder(turn)
                .segment_notice(turn, "waiting", &wait.text);
            self.ctx.outbox.enqueue(&item).await?;
            notice.message.expect(self, item.send_id);
            notice.state = Some(WaitNotice {
                open: true,
                edits: 0,
                since: Some(wait.since()),
                code: wait.code.clone(),
                lost: wait.lost,
                pause: wait.paused_since,
            });
            notice.shown = Some(wait.text.clone());
            return Ok(());
        };
        (state.since, state.lost) = (Some(wait.since()), wait.lost);
        state.code.clone_from(&wait.code);
        state.pause = wait.paused_since.or(state.pause);
        // One that says that the wait is over is corrected in any case.
        if state.edits >= NOTICE_EDITS_MAX && state.open {
            return Ok(());
        }
        let text = if state.edits + 1 >= NOTICE_EDITS_MAX {
            notice_texts::waiting_on(&wait.code)
        } else {
            wait.text.clone()
        };
        self.edit_notice(turn, view, &text, true).await
    }

    /// The wait is over, and so the notice says.
    pub(super) async fn end_wait(
        &self,
        turn: &TurnRecord,
        view: &mut TurnView,
        wait: &Wait,
        in_vain: bool,
    ) -> Result<(), JournalError> {
        if !view.notice.is_open() {
            return Ok(());
        }
        view.notice.last = Some(wait.over(turn, in_vain));
        self.finish_notice(turn, view).await
    }

    /// The answer is known already and the notice still says that it is waited for: an earlier process has ended in between.
    pub(super) async fn close_notice(
        &self,
        turn: &TurnRecord,
        view: &mut TurnView,
    ) -> Result<(), JournalError> {
        let state = view.notice.state.as_ref();
        match state.filter(|state| state.open && view.notice.last.is_none()) {
            Some(state) => {
                let wait = Wait::begin(turn).resumed(state, turn);
                self.end_wait(turn, view, &wait, false).await
            }
            None => Ok(()),
        }
    }

    /// The last edit of the notice of a turn that ends without its stage, if it says that the turn waits.
    pub(super) fn abandoned_notice(
        &self,
        turn: &TurnRecord,
    ) -> Result<Option<OutboxItem>, JournalError> {
        let Some(state) = turn.shown.waiting.as_ref().filter(|state| state.open) else {
            return Ok(None);
        };
        let Some(event) = self.ctx.journal.event_of(&id_of(turn))?.flatten() else {
            return Ok(None);
        };
        let text = Wait::begin(turn).over(turn, true);
        let send_id = edit_id(turn, state.edits + 1, &text);
        Ok(Some(
            self.message_builder(turn)
                .notice_edit(turn, &event, &text, send_id),
        ))
    }

    /// Lets the notice say what it shall say at last, if it is known which event it is.
    pub(super) async fn finish_notice(
        &self,
        turn: &TurnRecord,
        view: &mut TurnView,
    ) -> Result<(), JournalError> {
        if view.notice.message.is_beginning() {
            return Ok(());
        }
        if let Some(text) = view.notice.last.take() {
            self.edit_notice(turn, view, &text, false).await?;
        }
        Ok(())
    }

    async fn edit_notice(
        &self,
        turn: &TurnRecord,
        view: &mut TurnView,
        text: &NoticeText,
        open: bool,
    ) -> Result<(), JournalError> {
        let notice = &mut view.notice;
        let (Some(state), Some(event)) = (&mut notice.state, &notice.message.event) else {
            return Ok(());
        };
        state.edits += 1;
        state.open = open;
        let send_id = edit_id(turn, state.edits, text);
        let item = self
            .message_builder(turn)
            .notice_edit(turn, event, text, send_id);
        notice.shown = Some(text.clone());
        self.ctx.outbox.enqueue(&item).await
    }
}

impl TurnView {
    /// Keeps in the turn what the room was told of its wait.
    pub(super) fn record_wait(&self, turn: &mut TurnRecord) {
        turn.shown.waiting.clone_from(&self.notice.state);
    }
}
