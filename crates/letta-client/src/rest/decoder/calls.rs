//! Tool calls, put together from the pieces in which a model writes them.

use super::super::wire::{CallPart, ReturnPart};
use crate::{
    backend::{ApprovalRequest, ToolCall, TurnEvent},
    id::{MessageId, ToolCallId},
    json,
};

/// The most tool calls of one turn; past it the code is `TOO_MANY_TOOL_CALLS`.
pub const CALLS_MAX: usize = 1_000;

/// How much of what a tool returned is passed on, in bytes. The rest is cut off.
pub const TOOL_RETURN_BYTES_MAX: usize = 64 * 1024;

/// All calls of a turn, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct Calls {
    all: Vec<PartialCall>,
    argument_bytes_max: usize,
    /// The message that asks for a person.
    request: Option<MessageId>,
    request_told: bool,
}

#[derive(Debug)]
struct PartialCall {
    id: ToolCallId,
    name: String,
    arguments: String,
    braces: Braces,
    /// A person must decide: it is told in one request, not by itself.
    ask: bool,
    told: bool,
    returned: bool,
}

impl Calls {
    pub(super) fn new(argument_bytes_max: usize) -> Self {
        Self {
            argument_bytes_max,
            ..Self::default()
        }
    }

    /// Takes pieces of calls. Fails with a code past a limit.
    pub(super) fn add(
        &mut self,
        message: Option<MessageId>,
        parts: Vec<CallPart>,
        ask: bool,
        out: &mut Vec<TurnEvent>,
    ) -> Result<(), &'static str> {
        if ask && self.request.is_none() {
            self.request = message;
        }
        for part in parts {
            let Some(id) = part.tool_call_id.and_then(|id| ToolCallId::parse(id).ok()) else {
                continue;
            };
            let known = self.all.iter().rposition(|call| call.id == id);
            let at = match known {
                Some(at) => at,
                None if self.all.len() >= CALLS_MAX => return Err("TOO_MANY_TOOL_CALLS"),
                None => {
                    // Calls come one after the other: the next one completes the last.
                    self.complete_all(out);
                    self.all.push(PartialCall::new(id, ask));
                    self.all.len() - 1
                }
            };
            let call = &mut self.all[at];
            if call.told {
                continue;
            }
            if let Some(name) = part.name
                && call.name.is_empty()
            {
                call.name = name;
            }
            if let Some(arguments) = part.arguments {
                if call.arguments.len() + arguments.len() > self.argument_bytes_max {
                    return Err("TOOL_ARGUMENTS_TOO_LONG");
                }
                call.braces.read(&arguments);
                call.arguments.push_str(&arguments);
            }
            if call.braces.closed && !call.name.is_empty() {
                call.emit(out);
            }
        }
        Ok(())
    }

    /// No piece follows for the calls so far.
    pub(super) fn complete_all(&mut self, out: &mut Vec<TurnEvent>) {
        // All before the last were completed when the next one began.
        if let Some(last) = self.all.last_mut() {
            last.emit(out);
        }
    }

    /// A tool has returned; told once for each different return.
    pub(super) fn returned(&mut self, part: &ReturnPart, out: &mut Vec<TurnEvent>) {
        let id = part
            .tool_call_id
            .as_deref()
            .and_then(|id| ToolCallId::parse(id).ok());
        let Some(id) = id else { return };
        if let Some(call) = self.all.iter_mut().rfind(|call| call.id == id) {
            call.returned = true;
        }
        let mut text = part.text();
        let mut end = text.len().min(TOOL_RETURN_BYTES_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        out.push(TurnEvent::ToolReturn {
            call: id,
            ok: part.is_ok(),
            text,
        });
    }

    /// Whether a call is known, and whether its return is.
    pub(super) fn known(&self, id: &str) -> Option<bool> {
        self.all
            .iter()
            .rfind(|call| call.id.as_str() == id)
            .map(|call| call.returned)
    }

    /// Whether no tool was called.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The request is told by who has read it where it is stored.
    pub(super) fn request_is_emitted(&mut self) {
        self.request_told = true;
    }

    /// Whether a person is asked.
    pub(super) fn asked(&self) -> bool {
        self.all.iter().any(|call| call.ask)
    }

    /// All calls that a person is asked about, as they were streamed.
    pub(super) fn asked_for(&self) -> Vec<ToolCall> {
        let asked = self.all.iter().filter(|call| call.ask);
        asked.map(PartialCall::to_call).collect()
    }

    /// The request for a person's decision, once.
    pub(super) fn take_approval_request(&mut self) -> Option<TurnEvent> {
        if std::mem::replace(&mut self.request_told, true) {
            return None;
        }
        let id = self.request.clone()?;
        let calls = self.asked_for();
        (!calls.is_empty()).then_some(TurnEvent::Approval(ApprovalRequest { id, calls }))
    }
}

impl PartialCall {
    fn new(id: ToolCallId, ask: bool) -> Self {
        Self {
            id,
            name: String::new(),
            arguments: String::new(),
            braces: Braces::default(),
            ask,
            told: false,
            returned: false,
        }
    }

    fn to_call(&self) -> ToolCall {
        ToolCall {
            id: self.id.clone(),
            name: json::join_surrogates(&self.name),
            arguments: json::join_surrogates(&self.arguments),
        }
    }

    fn emit(&mut self, out: &mut Vec<TurnEvent>) {
        if !self.ask && !std::mem::replace(&mut self.told, true) {
            out.push(TurnEvent::ToolCall(self.to_call()));
        }
    }
}

/// Sees where a JSON object ends, one piece at a time, so that a call can be told while its tool
/// runs and not only when it has returned.
#[derive(Debug, Default)]
struct Braces {
    depth: usize,
    in_string: bool,
    escaped: bool,
    closed: bool,
}

impl Braces {
    fn read(&mut self, piece: &str) {
        for byte in piece.bytes() {
            if self.in_string {
                match byte {
                    _ if std::mem::take(&mut self.escaped) => {}
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' => self.depth += 1,
                b'}' if self.depth > 0 => {
                    self.depth -= 1;
                    self.closed |= self.depth == 0;
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_closed_by_its_own_brace_only() {
        let closed = |pieces: &[&str]| {
            let mut braces = Braces::default();
            for piece in pieces {
                braces.read(piece);
            }
            braces.closed
        };
        assert!(closed(&["{}"]));
        assert!(closed(&[r#"{"a": {"b": "#, r#""}\"}"}}"#]));
        assert!(!closed(&[r#"{"a": "}"#]));
        assert!(!closed(&[r#"{"a": {}"#]));
        assert!(!closed(&["", "}", "{"]));
    }
}
