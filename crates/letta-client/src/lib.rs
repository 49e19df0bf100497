//! Letta as a Matrix bridge sees it.
//!
//! A [`Backend`] is one way to reach Letta. The bridge knows nothing else of Letta: no URL, no
//! frame, no status code crosses this crate's edge, only typed ids, [`Agent`]s, [`TurnEvent`]s and
//! a [`BackendError`] that says what to do about it.
//!
//! | module | what it is |
//! |---|---|
//! | [`id`] | one type per kind of Letta id, parsed once at the edge |
//! | [`backend`] | the trait, and the words that pass over it |
//! | [`prompt`] | what a person says: text and pictures |
//! | [`error`] | what can go wrong, and the advice that goes with it |
//! | [`failure`] | what a failure means, whether a status or a stream told it |
//! | [`app_server`] | current, self-hosted Letta: one WebSocket |
//! | [`rest`] | Letta Cloud and V1 servers: REST with server-sent events |
//! | [`openai`] | the OpenAI-compatible routes that several servers have: text and pictures, nothing else |
//! | [`detect`] | which of them a server speaks, by asking it |
//! | [`detected`] | a backend whose kind is found out when the server first answers |
//! | [`sse`] | the incremental parser of those event streams |
//! | [`demo`] | a small real server with scripted agents; never a model |
//!
//! This crate knows nothing of Matrix. An idempotency key is any text to it.

#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        reason = "tests spawn what they need and ask what time it is"
    )
)]

pub mod app_server;
pub mod backend;
pub mod demo;
pub mod detect;
pub mod detected;
pub mod error;
pub mod failure;
pub mod id;
mod json;
pub mod openai;
pub mod prompt;
pub mod rest;
pub mod sse;

pub use backend::{
    Agent, ApprovalRequest, ApprovalStatus, Backend, BackendInfo, Conversation, Decision,
    Destination, ExternalTurn, HistoryItem, Image, Part, PermissionMode, Prompt, Role, Speaker,
    StopReason, ToolCall, ToolPolicy, TurnEvent, TurnFailure, TurnStream,
};
pub use error::{Advice, BackendError, MissingResource};
pub use failure::{FailureKind, FailurePolicy};
pub use id::{AgentId, ConversationId, IdError, MessageId, RunId, ToolCallId};
