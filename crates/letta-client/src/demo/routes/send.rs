//! Sending: prompts and decisions, on the conversation routes and the agent's own.
//!
//! The order of the checks is V1's where a transcript shows it.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Failure, conversations::thread_key, event_stream, known_agent, parse_body};
use crate::backend::Image;
use crate::demo::{
    Demo,
    frames::{Decision, Message, PromptSender, Step},
    ids,
    play::{RunPlayer, Task},
    run::{Reading, Run},
    script::Plan,
    world::{Pending, ThreadKey, World},
};

const WAITING: &str = "Cannot send a new message: The agent is waiting for approval on a tool call. \
                       Please approve or deny the pending request before continuing.";

const NOTHING_WAITS: &str = "Cannot process approval response: No tool call is currently awaiting approval. \
                             Please send a regular message to interact with the agent.";

/// What V1 tells the model when a decision comes twice.
const KEEP_ALIVE: &str = "<system-alert>Automated keep-alive ping. Ignore this message and continue from where you \
                          stopped.</system-alert>";

/// How far back V1 looks for what a decision is about.
const LATELY: usize = 10;

#[derive(Debug, Deserialize)]
struct Body {
    #[serde(default)]
    messages: Vec<InMessage>,
    input: Option<String>,
    agent_id: Option<String>,
    stream_tokens: Option<bool>,
    include_pings: Option<bool>,
    background: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct InMessage {
    r#type: Option<String>,
    content: Option<Value>,
    otid: Option<String>,
    name: Option<String>,
    sender_id: Option<String>,
    #[serde(default)]
    approvals: Vec<InApproval>,
}

#[derive(Debug, Deserialize)]
struct InApproval {
    tool_call_id: String,
    approve: bool,
    reason: Option<String>,
}

impl InMessage {
    /// The text of a string or of parts.
    fn text(&self) -> String {
        match &self.content {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(parts)) => {
                let texts: Vec<_> = parts
                    .iter()
                    .filter_map(|part| part["text"].as_str())
                    .collect();
                texts.join("\n")
            }
            _ => String::new(),
        }
    }

    /// The pictures among its parts; a refusal if one is no base64, which V1 does not check.
    fn images(&self) -> Result<Vec<Image>, Failure> {
        let parts = self.content.as_ref().and_then(Value::as_array);
        let images = parts
            .into_iter()
            .flatten()
            .filter(|part| part["type"] == "image");
        let read = |part: &Value| {
            let source = &part["source"];
            let bytes = STANDARD.decode(source["data"].as_str().unwrap_or_default());
            let bytes = bytes.map_err(|error| {
                Failure::unprocessable("'body', 'messages'", &error.to_string())
            })?;
            Ok(Image {
                mimetype: source["media_type"].as_str().unwrap_or_default().to_owned(),
                bytes: bytes.into(),
            })
        };
        images.map(read).collect()
    }

    fn is_approval(&self) -> bool {
        self.r#type.as_deref() == Some("approval")
    }
}

/// On which kind of route a send came: only conversations lock and deduplicate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Route {
    Agent,
    Conversation,
}

pub(super) async fn to_agent(
    State(demo): State<Demo>,
    Path(agent): Path<String>,
    body: bytes::Bytes,
) -> Result<Response, Failure> {
    let body = check(&demo, &body)?;
    known_agent(&demo, &agent)?;
    accept(
        &demo,
        &ThreadKey {
            agent,
            conversation: None,
        },
        Route::Agent,
        &body,
    )
}

pub(super) async fn to_conversation(
    State(demo): State<Demo>,
    Path(conversation): Path<String>,
    body: bytes::Bytes,
) -> Result<Response, Failure> {
    let body = check(&demo, &body)?;
    let key = thread_key(&demo, &conversation, body.agent_id.as_deref())?;
    accept(&demo, &key, Route::Conversation, &body)
}

fn check(demo: &Demo, bytes: &[u8]) -> Result<Body, Failure> {
    if let Some(status) = demo.faults().send_status {
        return Err(Failure::commanded(status));
    }
    let mut body: Body = parse_body(bytes)?;
    if let Some(text) = body.input.take() {
        let message: InMessage = serde_json::from_value(json!({ "content": text }))
            .map_err(|error| Failure::unprocessable("'body',", &error.to_string()))?;
        body.messages.push(message);
    }
    if body.messages.is_empty() {
        return Err(Failure::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Messages must not be empty",
        ));
    }
    if body
        .messages
        .iter()
        .any(|m| !m.is_approval() && m.text().is_empty())
    {
        let why = "Message content is empty or invalid";
        return Err(Failure::new(StatusCode::BAD_REQUEST, why));
    }
    Ok(body)
}

fn accept(demo: &Demo, key: &ThreadKey, route: Route, body: &Body) -> Result<Response, Failure> {
    let background = body.background.unwrap_or(false);
    let mut world = demo.shared.world();
    if background && world.faults.no_redis {
        return Err(Failure::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "Background streaming requires Redis to be running.",
        ));
    }
    if world.faults.busy > 0 {
        world.faults.busy -= 1;
        return Err(Failure::busy(&ids::new("run-")));
    }
    let guarded = route == Route::Conversation && !world.faults.no_redis;
    let otids: Vec<_> = body
        .messages
        .iter()
        .filter_map(|m| m.otid.as_deref())
        .collect();
    let all_otids = otids.join(",");
    if guarded && background && !otids.is_empty() {
        let known = world.thread(key).run_of(&all_otids).map(str::to_owned);
        if let Some(run) = known.and_then(|id| world.run(&id)) {
            return Ok(read(&mut world, run, body, &otids));
        }
    }
    if guarded && let Some(active) = &world.thread(key).active {
        return Err(Failure::busy(&active.id));
    }
    let run = Run::new(
        key.clone(),
        background,
        body.stream_tokens.unwrap_or(false),
        demo.shared.ping_every,
    );
    let task = task(&mut world, &run, route, body)?;
    let run = Arc::new(run);
    world.add_run(run.clone());
    let thread = world.thread(key);
    // The agent's own routes neither ask for the lock nor take it.
    if guarded {
        thread.active = Some(run.clone());
        if background && !otids.is_empty() {
            thread.remember(all_otids, run.id.clone());
        }
    }
    let response = read(&mut world, run.clone(), body, &otids);
    drop(world);
    tokio::spawn(
        RunPlayer {
            shared: demo.shared.clone(),
            run,
        }
        .play(task),
    );
    Ok(response)
}

/// What a run will do, or why there is none.
fn task(world: &mut World, run: &Run, route: Route, body: &Body) -> Result<Task, Failure> {
    let step = run.step();
    let pending = world.thread(&run.thread).pending.clone();
    Ok(
        match (body.messages.iter().find(|m| m.is_approval()), pending) {
            (None, None) => prompts(world, run, &step, body)?,
            (None, Some(pending)) if route == Route::Agent => {
                return Err(Failure::new(
                    StatusCode::CONFLICT,
                    json!({
                        "code": "PENDING_APPROVAL",
                        "message": format!("CONFLICT: {WAITING}"),
                        "pending_request_id": pending.message,
                    }),
                ));
            }
            (None, Some(_)) => Task::Refuse(format!("CONFLICT: {WAITING}")),
            (Some(decision), None) => again(world, run, &step, decision),
            (Some(decision), Some(pending)) => decide(world, run, &step, decision, &pending),
        },
    )
}

/// A decision although nothing waits. V1 takes it, whatever it says, if what it is about has returned a moment ago, and runs the
/// model once more; else it refuses inside the stream.
fn again(world: &mut World, run: &Run, step: &Step, decision: &InMessage) -> Task {
    let thread = world.thread(&run.thread);
    let lately = thread.messages.iter().rev().take(LATELY);
    let decided = |message: &Message| {
        let mut ids = decision
            .approvals
            .iter()
            .map(|one| one.tool_call_id.as_str());
        message.message_type == "approval_response_message" && ids.any(|id| message.decides(id))
    };
    if !lately.into_iter().any(decided) {
        return Task::Refuse(NOTHING_WAITS.to_owned());
    }
    let alert = step.user(KEEP_ALIVE, PromptSender::default());
    run.store(alert.clone());
    thread.store(alert);
    Task::Answer(Plan::new(&["say: once more".to_owned()], &[]))
}

/// Writes the prompts into the history and decides what to answer.
fn prompts(world: &mut World, run: &Run, step: &Step, body: &Body) -> Result<Task, Failure> {
    let (mut texts, mut pictures) = (Vec::new(), Vec::new());
    for message in &body.messages {
        let text = message.text();
        let from = PromptSender {
            name: message.name.clone(),
            sender_id: message.sender_id.clone(),
            otid: message.otid.clone(),
        };
        let entry = step.user(&text, from);
        run.store(entry.clone());
        world.thread(&run.thread).store(entry);
        texts.push(text);
        pictures.extend(message.images()?);
    }
    if world.faults.no_pictures && !pictures.is_empty() {
        return Ok(Task::Answer(Plan::NoPictures));
    }
    let shown = |image: &Image| format!("{}, {} bytes", image.mimetype, image.bytes.len());
    let shown: Vec<_> = pictures.iter().map(shown).collect();
    world.add_pictures(&run.thread, pictures);
    Ok(Task::Answer(Plan::new(&texts, &shown)))
}

/// Takes a decision on all calls at once, or refuses it.
fn decide(
    world: &mut World,
    run: &Run,
    step: &Step,
    decision: &InMessage,
    pending: &Pending,
) -> Task {
    let find = |id: &str| decision.approvals.iter().find(|one| one.tool_call_id == id);
    let complete = pending.calls.len() == decision.approvals.len()
        && pending.calls.iter().all(|call| find(&call.id).is_some());
    if !complete {
        let expected: Vec<_> = pending.calls.iter().map(|call| call.id.as_str()).collect();
        let received: Vec<_> = decision
            .approvals
            .iter()
            .map(|one| one.tool_call_id.as_str())
            .collect();
        return Task::Refuse(format!(
            "Invalid tool call IDs. Expected '{expected:?}', but received '{received:?}'."
        ));
    }
    let approvals = decision.approvals.iter().map(|one| Decision {
        r#type: "approval",
        tool_call_id: one.tool_call_id.clone(),
        approve: one.approve,
        reason: one.reason.clone(),
    });
    let entry = step.approval_response(approvals.collect());
    run.store(entry.clone());
    let thread = world.thread(&run.thread);
    thread.store(entry);
    thread.pending = None;
    let decided = pending.calls.iter().map(|call| {
        let refusal = find(&call.id)
            .filter(|one| !one.approve)
            .map(|one| one.reason.clone().unwrap_or_else(|| "None".to_owned()));
        (call.clone(), refusal)
    });
    Task::GoOn(decided.collect())
}

/// Records a send as accepted and streams its run.
fn read(world: &mut World, run: Arc<Run>, body: &Body, otids: &[&str]) -> Response {
    for otid in otids {
        world.records.record_accepted(otid, &run.id);
    }
    event_stream(run.read(Reading {
        starting_after: 0,
        pings: body.include_pings.unwrap_or(true),
        drop_after: world.faults.drop_after.pop_front(),
    }))
}
