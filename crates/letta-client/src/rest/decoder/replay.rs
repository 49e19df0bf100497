//! What a server has stored of a turn, laid over what its stream has brought.
//!
//! Afterwards both say the same: what was missing is told, what was different is void and told
//! anew, what was the same is not told again.

use std::collections::HashSet;

use super::{Decoder, Message, TextKind, TurnEvent, message_id};
use crate::id::MessageId;

impl Decoder {
    /// Takes the stored messages of the run, oldest first. `complete`: they are all there will be,
    /// so what is not among them is void.
    pub(in super::super) fn replay(
        &mut self,
        messages: Vec<Message>,
        complete: bool,
        out: &mut Vec<TurnEvent>,
    ) {
        self.calls.complete_all(out);
        self.discard_different(&messages, complete, out);
        for message in messages {
            match message.message_type.as_deref().unwrap_or_default() {
                kind @ ("assistant_message" | "reasoning_message") => {
                    let text_kind = text_kind(kind);
                    let stored = stored_text(&message, text_kind);
                    let Some(id) = message_id(&message) else {
                        continue;
                    };
                    let known = self.written.get(&(id, text_kind));
                    // What is left is equal but for its end, see `discard_different`.
                    let known = known.map_or(0, |known| known.len().min(stored.len()));
                    let rest = stored.get(known..).unwrap_or_default().to_owned();
                    self.write(&message, text_kind, Some(rest), out);
                }
                kind @ ("tool_call_message" | "approval_request_message") => {
                    let ask = kind == "approval_request_message";
                    let mut calls = message.calls();
                    calls.retain(|call| {
                        call.tool_call_id
                            .as_deref()
                            .is_some_and(|id| self.calls.known(id).is_none())
                    });
                    if let Err(code) = self.calls.add(message_id(&message), calls, ask, out) {
                        self.exceed_limit(code);
                    }
                    self.calls.complete_all(out);
                }
                "tool_return_message" => {
                    for part in message.returns() {
                        let id = part.tool_call_id.as_deref().unwrap_or_default();
                        if self.calls.known(id) != Some(true) {
                            self.calls.returned(&part, out);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Voids the messages whose text is not the beginning of what is stored.
    fn discard_different(
        &mut self,
        messages: &[Message],
        complete: bool,
        out: &mut Vec<TurnEvent>,
    ) {
        let mut stored_ids = HashSet::new();
        let mut different: Vec<MessageId> = Vec::new();
        for message in messages {
            let kind = message.message_type.as_deref().unwrap_or_default();
            if !matches!(kind, "assistant_message" | "reasoning_message") {
                continue;
            }
            let text_kind = text_kind(kind);
            let Some(id) = message_id(message) else {
                continue;
            };
            let key = (id, text_kind);
            let stored = stored_text(message, text_kind);
            if let Some(known) = self.written.get(&key)
                && !stored.starts_with(known.as_str())
                && stored.trim() != known.trim()
            {
                different.push(key.0.clone());
            }
            stored_ids.insert(key);
        }
        if complete {
            let missing = self.written.keys().filter(|key| !stored_ids.contains(*key));
            different.extend(missing.map(|(id, _)| id.clone()));
        }
        different.sort_unstable();
        different.dedup();
        for message in different {
            for text_kind in [TextKind::Assistant, TextKind::Reasoning] {
                let voided = self.written.remove(&(message.clone(), text_kind));
                self.text_bytes -= voided.map_or(0, |text| text.len());
            }
            out.push(TurnEvent::Discard { message });
        }
    }
}

fn text_kind(kind: &str) -> TextKind {
    if kind == "assistant_message" {
        TextKind::Assistant
    } else {
        TextKind::Reasoning
    }
}

fn stored_text(message: &Message, text_kind: TextKind) -> String {
    match text_kind {
        TextKind::Assistant => message
            .content
            .as_ref()
            .map(super::super::wire::Content::text),
        TextKind::Reasoning => message.reasoning.clone(),
    }
    .map(|text| crate::json::join_surrogates(&text))
    .unwrap_or_default()
}
