//! Starting a turn: prompts, or a person's decision on tool calls.

use serde::Serialize;

use super::{RestBackend, failure::RequestTarget, turn};
use crate::{
    backend::{Conversation, Decision, Destination, Prompt, TurnStream},
    error::BackendError,
    prompt::Content,
};

/// The longest `name` of a message that providers take, in characters.
const NAME_CHARS_MAX: usize = 64;

/// The body of a send.
#[derive(Clone, Debug, Serialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "Letta's API has these switches"
)]
pub(super) struct Outgoing {
    messages: Vec<OutMessage>,
    /// Only the default conversation's route needs to be told whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<String>,
    stream_tokens: bool,
    include_pings: bool,
    background: bool,
    /// V1's agent routes stream only if asked; its streaming and conversation routes ignore it.
    streaming: bool,
}

#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum OutMessage {
    Prompt {
        role: &'static str,
        content: Content,
        otid: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        sender_id: Option<String>,
    },
    Decisions {
        r#type: &'static str,
        approvals: Vec<OutDecision>,
    },
}

#[derive(Clone, Debug, Serialize)]
struct OutDecision {
    r#type: &'static str,
    tool_call_id: String,
    approve: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Outgoing {
    fn new(messages: Vec<OutMessage>) -> Self {
        Self {
            messages,
            agent_id: None,
            stream_tokens: true,
            include_pings: true,
            background: true,
            streaming: true,
        }
    }

    pub(super) fn prompts(prompts: &[Prompt]) -> Self {
        let prompt = |prompt: &Prompt| OutMessage::Prompt {
            role: "user",
            content: Content::for_letta(prompt),
            otid: prompt.key.clone(),
            name: prompt
                .speaker
                .as_ref()
                .and_then(|speaker| provider_name(&speaker.name)),
            sender_id: prompt.speaker.as_ref().map(|speaker| speaker.id.clone()),
        };
        Self::new(prompts.iter().map(prompt).collect())
    }

    pub(super) fn decisions(decisions: &[Decision]) -> Self {
        let decision = |decision: &Decision| OutDecision {
            r#type: "approval",
            tool_call_id: decision.call.to_string(),
            approve: decision.approve,
            reason: decision.reason.clone(),
        };
        let approvals = decisions.iter().map(decision).collect();
        Self::new(vec![OutMessage::Decisions {
            r#type: "approval",
            approvals,
        }])
    }

    /// Whether the server could recognize this body if it came again.
    fn has_keys(&self) -> bool {
        self.messages
            .iter()
            .all(|message| matches!(message, OutMessage::Prompt { .. }))
    }
}

/// What providers take as a name, if anything is left of it.
fn provider_name(name: &str) -> Option<String> {
    let kept = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    let kept: String = kept.take(NAME_CHARS_MAX).collect();
    (!kept.is_empty()).then_some(kept)
}

/// A destination in the words of an error.
pub(super) fn name(to: &Destination) -> String {
    match &to.conversation {
        Conversation::Default => format!("agent {}", to.agent),
        Conversation::Own(id) => format!("conversation {id} of agent {}", to.agent),
    }
}

impl RestBackend {
    /// Starts a turn, in the background if the server can.
    pub(super) async fn start(
        &self,
        to: &Destination,
        body: &Outgoing,
    ) -> Result<TurnStream, BackendError> {
        let conversations = self.has_conversations().await?;
        let mut body = body.clone();
        let segments: Vec<&str> = match &to.conversation {
            _ if !conversations => vec!["v1", "agents", to.agent.as_str(), "messages", "stream"],
            Conversation::Default => {
                body.agent_id = Some(to.agent.to_string());
                vec!["v1", "conversations", "default", "messages"]
            }
            Conversation::Own(id) => vec!["v1", "conversations", id.as_str(), "messages"],
        };
        body.background = self.background.fresh() != Some(false);
        let mut opened = self.api.open(&segments, &body).await?;
        if body.background
            && opened
                .as_ref()
                .is_err_and(super::failure::ErrorResponse::is_no_background)
        {
            body.background = false;
            opened = self.api.open(&segments, &body).await?;
        }
        let response =
            opened.map_err(|refusal| refusal.into_error(RequestTarget::Conversation(to)))?;
        self.background.set(body.background);
        let background = body.background;
        // Only these routes know a key again, and only in background mode.
        let again = (conversations && background && body.has_keys()).then(|| turn::ResendRequest {
            segments: segments.iter().map(|&segment| segment.to_owned()).collect(),
            body,
        });
        let place = turn::StreamTarget::new(to, conversations);
        Ok(turn::stream(
            self.api.clone(),
            place,
            response,
            background,
            again,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Speaker;

    #[test]
    fn a_prompt_is_sent_with_its_key_and_a_name_that_providers_take() {
        let speaker = Speaker {
            name: "Alice Müller 🦀".into(),
            id: "@alice:hs".into(),
        };
        let prompt = Prompt {
            speaker: Some(speaker),
            ..Prompt::new("$event", "hi")
        };
        let body = serde_json::to_string(&Outgoing::prompts(&[prompt])).unwrap();
        insta::assert_snapshot!(body, @r#"{"messages":[{"role":"user","content":"hi","otid":"$event","name":"AliceMller","sender_id":"@alice:hs"}],"stream_tokens":true,"include_pings":true,"background":true,"streaming":true}"#);
    }

    #[test]
    fn a_name_of_which_nothing_is_left_is_not_sent() {
        assert_eq!(provider_name("🦀 ❤"), None);
        assert_eq!(
            provider_name(&"a".repeat(100)).unwrap().len(),
            NAME_CHARS_MAX
        );
    }
}
