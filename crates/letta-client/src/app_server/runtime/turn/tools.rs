//! The tools of a turn: which the agent has called, which run, and what they returned.
//!
//! The server announces every call before anybody knows whether a person has to be asked. So a call
//! is told when its tool starts: what waits for a person is told by its request, and what is denied
//! never as a tool that was used.

use std::collections::{HashMap, VecDeque};

use crate::{
    backend::{ApprovalRequest, ToolCall, TurnEvent},
    id::ToolCallId,
    rest::decoder::CALLS_MAX,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ToolState {
    Announced,
    /// A person was asked about it.
    Asked,
    Told,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct TurnTools {
    calls: HashMap<ToolCallId, (ToolCall, ToolState)>,
    returns: VecDeque<(ToolCallId, bool, String)>,
}

impl TurnTools {
    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    /// The call as it was announced, if it was.
    pub(super) fn call(&self, id: &ToolCallId) -> Option<&ToolCall> {
        self.calls.get(id).map(|(call, _)| call)
    }

    pub(super) fn announce(&mut self, call: ToolCall) {
        let id = call.id.clone();
        self.calls.entry(id).or_insert((call, ToolState::Announced));
    }

    /// A person has to decide on these.
    pub(super) fn ask(&mut self, request: &ApprovalRequest) {
        for call in &request.calls {
            self.announce(call.clone());
            if let Some((_, state)) = self.calls.get_mut(&call.id) {
                *state = ToolState::Asked;
            }
        }
    }

    /// A tool starts.
    pub(super) fn start(&mut self, id: &ToolCallId) -> Option<TurnEvent> {
        let (call, state) = self.calls.get_mut(id)?;
        let before = std::mem::replace(state, ToolState::Told);
        (before != ToolState::Told).then(|| TurnEvent::ToolCall(call.clone()))
    }

    /// A tool has returned: what is to be told of that.
    pub(super) fn returned(&mut self, call: ToolCallId, ok: bool, text: String) -> Vec<TurnEvent> {
        let said = (call, ok, text);
        // Output that grows comes again and again, and sometimes the same.
        if self.returns.contains(&said) {
            return Vec::new();
        }
        self.returns.retain(|(call, ..)| *call != said.0);
        self.returns.push_back(said.clone());
        self.returns.truncate(CALLS_MAX);
        let (call, ok, text) = said;
        let announced = matches!(self.calls.get(&call), Some((_, ToolState::Announced)));
        // Not every version says that a tool starts.
        let start = announced.then(|| self.start(&call)).flatten();
        let returned = TurnEvent::ToolReturn { call, ok, text };
        start.into_iter().chain([returned]).collect()
    }
}
