//! A scripted model: a small server that speaks the OpenAI-compatible chat API, and answers by the words of the last
//! person. A double for the model only; the App Server before it is the real one.
//!
//! | words | what it does |
//! |---|---|
//! | `say WORDS` | says them |
//! | `think WORDS` | reasons with them, then says `done` |
//! | `count N` | counts to N, four numbers a second |
//! | `run COMMAND` | calls the tool `Bash`; once it has returned, says `it returned: …` |
//! | `both COMMAND ;; COMMAND` | calls it twice in one answer |
//! | `tools` | says how many tools it was given |
//! | `fail` | answers 400 |
//! | `break` | says a little, then breaks the connection |

use std::time::Duration;

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::net::TcpListener;

/// Between two numbers of `count`.
const BEAT: Duration = Duration::from_millis(250);

pub(crate) struct Model {
    pub(crate) url: String,
    asked: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Model {
    pub(crate) async fn start() -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        let router = Router::new()
            .route("/v1/models", get(models))
            .route("/v1/chat/completions", post(complete))
            .with_state(asked.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/v1", listener.local_addr().expect("bound"));
        let serve = async move { axum::serve(listener, router).await.expect("serves") };
        let task = tokio::spawn(serve);
        Self { url, asked, task }
    }

    /// How often it was asked for an answer.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn models() -> Json<Value> {
    Json(
        json!({"object": "list", "data": [{"id": "scripted", "object": "model", "context_length": 128_000}]}),
    )
}

/// What the model does next.
enum Act {
    Say(Vec<String>, Duration),
    Think(String),
    Call(Vec<String>),
    Fail,
    Break,
}

async fn complete(State(asked): State<Arc<AtomicUsize>>, Json(body): Json<Value>) -> Response {
    asked.fetch_add(1, Ordering::SeqCst);
    let stream = body["stream"] == true;
    match act(&body["messages"], body["tools"].as_array().map_or(0, Vec::len)) {
        Act::Fail => {
            let error = json!({"error": {"message": "the script says so", "type": "scripted"}});
            (StatusCode::BAD_REQUEST, Json(error)).into_response()
        }
        Act::Say(words, beat) if stream => events(
            words.into_iter().map(|word| json!({"content": word})).collect(),
            beat,
            Some("stop"),
        ),
        Act::Think(words) => events(
            vec![json!({"reasoning_content": words}), json!({"content": "done"})],
            Duration::ZERO,
            Some("stop"),
        ),
        Act::Call(commands) => {
            let number = asked.load(Ordering::SeqCst);
            let call = |(index, command): (usize, String)| {
                let arguments = json!({"command": command, "description": "the script says so"});
                let id = if index == 0 { format!("call_{number}") } else { format!("call_{number}_{index}") };
                json!({"tool_calls": [{"index": index, "id": id, "type": "function",
                    "function": {"name": "Bash", "arguments": arguments.to_string()}}]})
            };
            let calls = commands.into_iter().enumerate().map(call);
            events(calls.collect(), Duration::ZERO, Some("tool_calls"))
        }
        Act::Break => events(vec![json!({"content": "this will"})], Duration::ZERO, None),
        // Without a stream: what the server asks for itself, such as a summary.
        Act::Say(words, _) => Json(json!({"id": "1", "object": "chat.completion", "created": 1_700_000_000, "model": "scripted",
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}, "choices": [{"index": 0,
            "finish_reason": "stop", "message": {"role": "assistant", "content": words.concat()}}]}))
        .into_response(),
    }
}

fn act(messages: &Value, tools: usize) -> Act {
    let messages = messages.as_array().map(Vec::as_slice).unwrap_or_default();
    let scripted = |message: &Value| {
        let text = text(&message["content"]);
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        let line = lines.into_iter().rev().find(|line| {
            let verb = line.split(' ').next().unwrap_or_default();
            [
                "say", "think", "count", "run", "both", "tools", "fail", "break",
            ]
            .contains(&verb)
        });
        line.filter(|_| message["role"] == "user")
            .map(str::to_owned)
    };
    let mut last = messages.iter().enumerate().rev();
    let last = last.find_map(|(at, message)| Some((at, scripted(message)?)));
    let Some((at, line)) = last else {
        return Act::Say(vec!["nothing to do".into()], Duration::ZERO);
    };
    let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
    let returned = messages[at..]
        .iter()
        .rev()
        .find(|message| message["role"] == "tool");
    match (verb, returned) {
        ("run" | "both", Some(returned)) => {
            let text = text(&returned["content"]);
            Act::Say(vec!["it returned: ".into(), text], Duration::ZERO)
        }
        ("run", None) => Act::Call(vec![rest.to_owned()]),
        ("both", None) => Act::Call(rest.split(" ;; ").map(str::to_owned).collect()),
        ("think", _) => Act::Think(rest.to_owned()),
        ("count", _) => {
            let to: u32 = rest.parse().unwrap_or(3);
            Act::Say((1..=to).map(|n| format!("{n} ")).collect(), BEAT)
        }
        ("tools", _) => Act::Say(vec![tools.to_string()], Duration::ZERO),
        ("fail", _) => Act::Fail,
        ("break", _) => Act::Break,
        _ => Act::Say(
            rest.split_inclusive(' ').map(str::to_owned).collect(),
            Duration::ZERO,
        ),
    }
}

fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part["text"].as_str());
            texts.collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

/// Chunks as server-sent events; without an end, the connection breaks.
fn events(deltas: Vec<Value>, beat: Duration, end: Option<&'static str>) -> Response {
    let chunk = |delta: Value, end: Option<&str>| {
        let chunk = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "scripted",
            "choices": [{"index": 0, "delta": delta, "finish_reason": end}]});
        format!("data: {chunk}\n\n")
    };
    let mut lines: Vec<_> = deltas.into_iter().map(|delta| chunk(delta, None)).collect();
    if let Some(end) = end {
        lines.push(chunk(json!({}), Some(end)));
        lines.push("data: [DONE]\n\n".to_owned());
    }
    let paced = stream::iter(lines).then(move |line| async move {
        tokio::time::sleep(beat).await;
        Ok::<_, std::io::Error>(Bytes::from(line))
    });
    let broken = stream::iter(end.is_none().then(|| Err(std::io::Error::other("broken"))));
    let body = Body::from_stream(paced.chain(broken));
    ([("content-type", "text/event-stream")], body).into_response()
}
