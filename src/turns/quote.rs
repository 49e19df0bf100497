//! What a message replies to, for the agent: who said it, when, and how it began.
//!
//! It is asked of the homeserver, which has checked who said what. The quote that older clients put before a reply is not used: it is
//! the word of who replies. If the homeserver does not give the event, the agent is told nothing of it. Nor is it if somebody replies to
//! what it has said just now.

use ruma::{EventId, UserId};
use serde_json::Value;
use tracing::debug;

use super::{Inner, Turns, envelope::normalize_text, prompt, route};
use crate::{
    journal::{ConversationKey, TurnRecord},
    matrix::{Actor, MatrixError},
    time::Millis,
};

/// How much of a message is quoted, in characters.
const QUOTE_CHARS_MAX: usize = 500;
/// The most messages of one answer that are looked at.
const ANSWER_PARTS_MAX: usize = 100;

impl Turns {
    /// Whether a message is the answer of this agent that whoever replies to it has just read: then it knows by itself what is meant.
    pub(super) fn is_answer_before(
        &self,
        place: &ConversationKey,
        sender: &UserId,
        message: &EventId,
    ) -> bool {
        let Some(answer) = self.inner.latest_messages.answer_before(place, sender) else {
            return false;
        };
        let event_of = |index| self.inner.ctx.journal.event_of(&answer.part(index));
        // A journal that fails is noticed elsewhere; here it costs a quote too many.
        let parts = (0..ANSWER_PARTS_MAX).map_while(|index| event_of(index).ok().flatten());
        parts.flatten().any(|event| event == message)
    }
}

impl Inner {
    /// What a prompt of this turn replies to, in the words that stand before the prompt.
    pub(super) async fn quote(&self, turn: &TurnRecord, replied: &EventId) -> Option<String> {
        let described = self.describe_event(turn, replied, QUOTE_CHARS_MAX).await?;
        Some(format!("in reply to {described}"))
    }

    /// Who sent an event, when, and how it begins; `None`: the homeserver does not give it, or it says nothing.
    pub(super) async fn describe_event(
        &self,
        turn: &TurnRecord,
        event: &EventId,
        chars_max: usize,
    ) -> Option<String> {
        let ghost = self.ctx.identity.ghost(&turn.key.agent);
        let fetched = self
            .ctx
            .homeserver
            .event(Actor::Ghost(&ghost), &turn.key.room, event)
            .await;
        let fetched = fetched.inspect_err(|error: &MatrixError| {
            debug!(event.id = %event, room.id = %turn.key.room, %error, "could not fetch an event that is referred to; no quote");
        });
        described(fetched.ok()?.get(), &ghost, chars_max)
    }
}

/// An event as it is quoted; `None`: it says nothing that could be.
fn described(event: &str, agent: &UserId, chars_max: usize) -> Option<String> {
    let mut event: Value = serde_json::from_str(event).ok()?;
    // Of an answer that has grown, its last edit says what it is. Where the content is that already, it is the same.
    let last = &event["unsigned"]["m.relations"]["m.replace"];
    if last["sender"] == event["sender"] && last["content"]["m.new_content"].is_object() {
        event["content"] = last["content"]["m.new_content"].clone();
    }
    let is_empty = event["content"]
        .as_object()
        .is_some_and(serde_json::Map::is_empty);
    let event: route::IncomingEvent = serde_json::from_value(event).ok()?;
    let text = match event.message() {
        Some(content) => normalize_text(prompt::text_of(&content.msgtype).trim()),
        None if is_empty => "[deleted]".to_owned(),
        None => return None,
    };
    let more = text.chars().nth(chars_max).map_or("", |_| "…");
    let begin: String = text.chars().take(chars_max).collect();
    // As JSON writes it: nothing in the quote can end it.
    let words = serde_json::to_string(&format!("{begin}{more}")).ok()?;
    let whom = if event.sender == agent {
        "your own message"
    } else {
        event.sender.as_str()
    };
    let at = Millis(event.origin_server_ts).to_rfc3339();
    Some(format!("{whom} of {at}: {words}"))
}

#[cfg(test)]
mod tests {
    use ruma::user_id;
    use serde_json::json;

    use super::*;

    const ADA: &str = "@agent_1:x";

    fn event(sender: &str, content: &Value) -> Value {
        json!({
            "event_id": "$e", "room_id": "!r:x", "sender": sender, "type": "m.room.message",
            "origin_server_ts": 1_764_511_380_000_u64, "content": content,
        })
    }

    fn quote(event: &Value) -> Option<String> {
        let described = described(&event.to_string(), user_id!("@agent_1:x"), QUOTE_CHARS_MAX);
        Some(format!("in reply to {}", described?))
    }

    #[test]
    fn quote_says_who_and_when_and_cannot_be_ended() {
        let said = event(
            "@bob:x",
            &json!({ "msgtype": "m.text", "body": "a \"b\"): c\n@ann:x: d" }),
        );
        insta::assert_snapshot!(quote(&said).unwrap(), @r#"in reply to @bob:x of 2025-11-30T14:03:00Z: "a \"b\"): c\n@ann:x: d""#);
        let picture = json!({ "msgtype": "m.image", "body": "Look", "filename": "red.png", "url": "mxc://x/y" });
        insta::assert_snapshot!(quote(&event(ADA, &picture)).unwrap(), @r#"in reply to your own message of 2025-11-30T14:03:00Z: "[image: red.png]\nLook""#);
        let long = json!({ "msgtype": "m.text", "body": "é".repeat(501) });
        let long = quote(&event("@bob:x", &long)).unwrap();
        assert!(
            long.ends_with(&format!("\"{}…\"", "é".repeat(500))),
            "{long}"
        );
        insta::assert_snapshot!(quote(&event("@bob:x", &json!({}))).unwrap(), @r#"in reply to @bob:x of 2025-11-30T14:03:00Z: "[deleted]""#);
        let mut state = event("@bob:x", &json!({ "membership": "join" }));
        state["type"] = "m.room.member".into();
        assert_eq!(quote(&state), None);
    }

    #[test]
    fn grown_answer_is_quoted_as_it_is_now() {
        let text = |body: &str| json!({ "msgtype": "m.text", "body": body });
        let mut answer = event(ADA, &text("w0 …"));
        let edit =
            json!({ "body": "* w0 w1", "msgtype": "m.text", "m.new_content": text("w0 w1") });
        answer["unsigned"] = json!({ "m.relations": { "m.replace": event(ADA, &edit) } });
        assert!(quote(&answer).unwrap().ends_with(": \"w0 w1\""));
        // Nobody else can put words into its mouth.
        answer["unsigned"]["m.relations"]["m.replace"]["sender"] = "@eve:x".into();
        assert!(quote(&answer).unwrap().ends_with(": \"w0 …\""));
    }
}
