//! Frames to the App Server.

use serde::Serialize;

use super::wire::Scope;
use crate::{
    backend::{Decision, PermissionMode, Prompt, ToolPolicy},
    prompt::Content,
};

/// What is asked of the server; its answer names `request_id` again.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Command {
    request_id: String,
    #[serde(flatten)]
    request: Request,
}

impl Command {
    pub(super) fn new(request_id: String, request: Request) -> Self {
        Self {
            request_id,
            request,
        }
    }
}

/// A request, in the words of the protocol.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Request {
    AgentList {
        query: ListQuery,
    },
    AgentRetrieve {
        agent_id: String,
    },
    ConversationCreate {
        body: Creation,
    },
    ConversationFork {
        conversation_id: String,
    },
    ConversationMessagesList {
        conversation_id: String,
        query: MessagesQuery,
    },
    RuntimeStart(Box<Start>),
    Input {
        runtime: Scope,
        payload: Payload,
    },
    AbortMessage {
        runtime: Scope,
    },
    ResumeQueue {
        runtime: Scope,
    },
    RemoveQueueItem {
        runtime: Scope,
        item_id: String,
    },
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct ListQuery {
    pub(super) limit: usize,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Creation {
    pub(super) agent_id: String,
    pub(super) summary: String,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct MessagesQuery {
    /// Only the default conversation does not tell by itself whose it is.
    pub(super) agent_id: String,
    pub(super) limit: usize,
    pub(super) order: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) before: Option<String>,
}

/// Subscribes to a conversation.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Start {
    #[serde(flatten)]
    scope: Scope,
    /// Kept by the server for good; its own default runs shell commands without asking.
    mode: &'static str,
    /// What is going on is told before the answer.
    wait_for_replay: bool,
    recover_approvals: bool,
    client_info: ClientInfo,
}

#[derive(Clone, Debug, Serialize)]
struct ClientInfo {
    name: &'static str,
    version: &'static str,
}

impl Start {
    /// The conversation.
    pub(super) fn scope(&self) -> &Scope {
        &self.scope
    }

    pub(super) fn new(scope: Scope, mode: PermissionMode) -> Self {
        Self {
            scope,
            mode: permission_mode_name(mode),
            wait_for_replay: true,
            recover_approvals: true,
            client_info: ClientInfo {
                name: env!("CARGO_PKG_NAME"),
                version: env!("CARGO_PKG_VERSION"),
            },
        }
    }
}

/// The App Server's word for a mode.
pub(super) fn permission_mode_name(mode: PermissionMode) -> &'static str {
    match mode {
        PermissionMode::Standard => "standard",
        PermissionMode::AcceptEdits => "acceptEdits",
        PermissionMode::Strict => "strict",
        PermissionMode::Unrestricted => "unrestricted",
    }
}

/// What is put into a conversation.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Payload {
    CreateMessage {
        messages: Vec<OutMessage>,
        /// Left out, every tool may be used; empty, none at all.
        #[serde(skip_serializing_if = "Option::is_none")]
        client_tool_allowlist: Option<[&'static str; 0]>,
        /// Tools that ask a person by themselves would wait for ever: a room has no form for them.
        exclude_interactive_tools: bool,
        /// Beside pictures: one that the server cannot use is left out, and does not fail the turn.
        #[serde(skip_serializing_if = "Option::is_none")]
        image_failure_mode: Option<&'static str>,
    },
    ApprovalResponse {
        request_id: String,
        decision: OutDecision,
    },
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct OutMessage {
    role: &'static str,
    content: Content,
    /// The server runs the same id once, and stores it as `otid`.
    client_message_id: String,
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "behavior", rename_all = "snake_case")]
pub(super) enum OutDecision {
    Allow,
    Deny { message: String },
}

impl Payload {
    pub(super) fn prompts(prompts: &[Prompt], policy: ToolPolicy) -> Self {
        let message = |prompt: &Prompt| OutMessage {
            role: "user",
            content: Content::for_letta(prompt),
            client_message_id: prompt.key.clone(),
        };
        Self::CreateMessage {
            messages: prompts.iter().map(message).collect(),
            client_tool_allowlist: policy.chat_only.then_some([]),
            exclude_interactive_tools: true,
            image_failure_mode: prompts.iter().any(Prompt::has_images).then_some("drop"),
        }
    }

    pub(super) fn decision(request_id: String, decision: &Decision) -> Self {
        /// What the agent reads where a person gave no reason: the server wants some words.
        const NO_REASON: &str = "The person said no.";
        let message = || decision.reason.clone().unwrap_or(NO_REASON.to_owned());
        Self::ApprovalResponse {
            request_id,
            decision: if decision.approve {
                OutDecision::Allow
            } else {
                OutDecision::Deny { message: message() }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Image, Part};

    fn scope() -> Scope {
        Scope {
            agent_id: "agent-local-1".into(),
            conversation_id: "local-conv-8".into(),
        }
    }

    fn shown(request: Request) -> String {
        serde_json::to_string(&Command::new("r1".into(), request)).unwrap()
    }

    #[test]
    fn requests_are_written_as_the_server_reads_them() {
        let start = Request::RuntimeStart(Box::new(Start::new(scope(), PermissionMode::Standard)));
        insta::assert_snapshot!(shown(start), @r#"{"request_id":"r1","type":"runtime_start","agent_id":"agent-local-1","conversation_id":"local-conv-8","mode":"standard","wait_for_replay":true,"recover_approvals":true,"client_info":{"name":"letta-client","version":"0.1.0"}}"#);
        let mut prompts = [Prompt::new("$event", "hi")];
        let chat_only = ToolPolicy {
            chat_only: true,
            ..ToolPolicy::default()
        };
        for policy in [ToolPolicy::default(), chat_only] {
            let payload = Payload::prompts(&prompts, policy);
            let input = shown(Request::Input {
                runtime: scope(),
                payload,
            });
            assert_eq!(
                policy.chat_only,
                input.contains(r#""client_tool_allowlist":[]"#)
            );
            assert!(input.contains(r#""client_message_id":"$event""#), "{input}");
            assert!(!input.contains("image"), "{input}");
        }
        prompts[0].parts.push(Part::Image(Image {
            mimetype: "image/png".into(),
            bytes: bytes::Bytes::from_static(b"\x89PNG"),
        }));
        let payload = Payload::prompts(&prompts, ToolPolicy::default());
        insta::assert_snapshot!(serde_json::to_string(&payload).unwrap(), @r#"{"kind":"create_message","messages":[{"role":"user","content":[{"type":"text","text":"hi"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw=="}}],"client_message_id":"$event"}],"exclude_interactive_tools":true,"image_failure_mode":"drop"}"#);
        let decision = Decision {
            call: "call_1".parse().unwrap(),
            approve: false,
            reason: Some("not now".into()),
        };
        let payload = Payload::decision("perm-call_1".into(), &decision);
        insta::assert_snapshot!(serde_json::to_string(&payload).unwrap(), @r#"{"kind":"approval_response","request_id":"perm-call_1","decision":{"behavior":"deny","message":"not now"}}"#);
    }
}
