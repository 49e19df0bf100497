//! What the App Server says does not exist: `Agent ID not found`, `Conversation ID not found`. Pure.
//!
//! Only these words, and only about the very thing that was asked for, mean that it is gone. Much else of what the server says
//! ends in "not found" (a model, a file, a tool), and nothing of that may cost a conversation.

use super::{command::Request, wire::Scope};
use crate::{
    error::{BackendError, MissingResource},
    rest::failure::{DETAIL_CHARS_MAX, truncate},
};

/// The App Server refuses without a status; this is what others would say for it.
const STATUS_OF_REFUSALS: u16 = 400;

/// What a request, or a turn, is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RequestSubject {
    agent: Option<String>,
    conversation: Option<String>,
}

impl RequestSubject {
    pub(super) fn scope(scope: &Scope) -> Self {
        Self {
            agent: Some(scope.agent_id.clone()),
            conversation: Some(scope.conversation_id.clone()),
        }
    }

    pub(super) fn request(request: &Request) -> Self {
        let agent = |id: &str| Self {
            agent: Some(id.to_owned()),
            conversation: None,
        };
        match request {
            Request::AgentList { .. } => Self::default(),
            Request::AgentRetrieve { agent_id } => agent(agent_id),
            Request::ConversationCreate { body } => agent(&body.agent_id),
            Request::ConversationFork { conversation_id } => Self {
                agent: None,
                conversation: Some(conversation_id.clone()),
            },
            Request::ConversationMessagesList {
                conversation_id,
                query,
            } => Self {
                agent: Some(query.agent_id.clone()),
                conversation: Some(conversation_id.clone()),
            },
            Request::RuntimeStart(start) => Self::scope(start.scope()),
            Request::Input { runtime, .. }
            | Request::AbortMessage { runtime }
            | Request::ResumeQueue { runtime }
            | Request::RemoveQueueItem { runtime, .. } => Self::scope(runtime),
        }
    }

    /// The error if these words say that just this is gone.
    pub(super) fn missing(&self, words: &str) -> Option<BackendError> {
        let what = words.trim().strip_suffix(" not found")?;
        let (kind, id) = what.split_once(' ')?;
        let missing = match kind {
            "Agent" if self.agent.as_deref() == Some(id) => MissingResource::Agent,
            "Conversation" if self.conversation.as_deref() == Some(id) => {
                MissingResource::Conversation
            }
            _ => return None,
        };
        Some(BackendError::NotFound {
            missing,
            what: truncate(what, DETAIL_CHARS_MAX),
        })
    }

    /// A refusal in the server's words.
    pub(super) fn error_from_message(&self, words: Option<&str>) -> BackendError {
        let words = words.unwrap_or("no reason given");
        let conflict = || crate::rest::failure::conflict(words, None);
        self.missing(words)
            .or_else(conflict)
            .unwrap_or_else(|| BackendError::Refused {
                status: STATUS_OF_REFUSALS,
                detail: truncate(words, DETAIL_CHARS_MAX),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FailurePolicy;

    #[test]
    fn only_the_very_thing_that_was_asked_for_is_gone() {
        let about = RequestSubject::scope(&Scope {
            agent_id: "agent-local-1".into(),
            conversation_id: "local-conv-7".into(),
        });
        for (words, expected) in [
            ("Agent agent-local-1 not found", FailurePolicy::Forget),
            ("Conversation local-conv-7 not found", FailurePolicy::Forget),
            ("Conversation local-conv-8 not found", FailurePolicy::Refuse),
            ("Agent agent-local-2 not found", FailurePolicy::Refuse),
            ("Model openai/gpt-9 not found", FailurePolicy::Refuse),
            (
                "404: The model `gpt-9` was not found",
                FailurePolicy::Refuse,
            ),
            ("Working directory /srv/x not found", FailurePolicy::Refuse),
            ("not found", FailurePolicy::Refuse),
            ("", FailurePolicy::Refuse),
        ] {
            let error = about.error_from_message(Some(words));
            assert_eq!(error.kind().policy(), expected, "{words}: {error:?}");
        }
        let unknown = RequestSubject::default();
        assert!(unknown.missing("Agent agent-local-1 not found").is_none());
    }
}
