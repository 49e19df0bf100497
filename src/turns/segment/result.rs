//! What came of one segment of a turn: its answer, and what a person has to decide before the next one.

use letta_client::{ApprovalRequest, StopReason, TurnFailure};
use tracing::warn;

use super::AttemptError;
use crate::{
    journal::{Answer, NoticeText, TurnRecord},
    turns::{notice_texts, turn_view::TurnView},
};

/// A segment as it was told.
pub(in crate::turns) struct SegmentResult {
    /// What there is to say at its end.
    pub(in crate::turns) answer: Answer,
    /// What a person has to decide before the next one.
    pub(in crate::turns) request: Option<ApprovalRequest>,
    /// Whether the request was found instead of what was to be heard.
    pub(in crate::turns) found: bool,
}

impl SegmentResult {
    /// A request that waits instead of what was to be heard.
    pub(in crate::turns) fn instead(request: ApprovalRequest, found: bool) -> Self {
        Self {
            answer: Answer::default(),
            request: Some(request),
            found,
        }
    }

    /// The last segment.
    pub(in crate::turns) fn end(text: String, ending_notice: Option<NoticeText>) -> Self {
        Self {
            answer: Answer {
                text,
                ending_notice,
            },
            request: None,
            found: false,
        }
    }

    pub(super) fn has_news(&self) -> bool {
        !self.answer.text.is_empty() || self.request.is_some()
    }
}

/// Letta has said in the stream that the turn failed.
pub(super) fn reported_failure(
    turn: &TurnRecord,
    view: &mut TurnView,
    failure: TurnFailure,
    request: Option<ApprovalRequest>,
) -> AttemptError {
    warn!(
        turn.id = %turn.id, agent.id = %turn.key.agent, code = failure.code, detail = failure.detail,
        "Letta reported a failed turn"
    );
    let stop = StopReason::Failed(failure.clone());
    view.note_end(&stop);
    AttemptError::Inside(failure, segment_result(view, &stop, request))
}

/// A segment whose stream has come to its end.
pub(super) fn segment_result(
    view: &TurnView,
    stop: &StopReason,
    request: Option<ApprovalRequest>,
) -> SegmentResult {
    let mut answer = view.reply.answer(stop);
    if *stop == StopReason::NeedsApproval && request.is_none() {
        answer.ending_notice = Some(notice_texts::needs_approval());
    } else if *stop == StopReason::NeedsApproval && !view.dropped.is_empty() {
        answer.ending_notice = Some(notice_texts::calls_dropped(&view.dropped));
    }
    SegmentResult {
        answer,
        request: request.filter(|_| *stop == StopReason::NeedsApproval),
        found: false,
    }
}
