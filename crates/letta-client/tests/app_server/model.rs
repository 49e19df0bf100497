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
//! | `pictures` | says what it was shown with the last words and before them: `1 of 2` |
//! | `fail` | answers 400 |
//! | `break` | says a little, then breaks the connection |
//! | `odd half`, `odd lone`, `odd nul` | says what JSON in Rust cannot hold: a UTF-16 pair in two pieces, half of one, a NUL |
//! | `odd number` | says `n` beside a number beyond `f64` |
//! | `odd KIND COMMAND` | calls `Bash` with that in its arguments |
//!
//! While [`Model::refuse`] holds, it refuses everything, as a model provider does.

use std::time::Duration;

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};
use tokio::net::TcpListener;

/// Between two numbers of `count`.
const BEAT: Duration = Duration::from_millis(250);

/// How a model provider refuses.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// The `Retry-After` header, in seconds.
    pub(crate) retry_after: Option<u64>,
    pub(crate) body: Value,
}

#[derive(Default)]
struct Script {
    asked: AtomicUsize,
    /// The `data:` URLs of the last question, oldest first.
    pictures: Mutex<Vec<String>>,
    refusal: Mutex<Option<Refusal>>,
}

pub(crate) struct Model {
    pub(crate) url: String,
    script: Arc<Script>,
    task: tokio::task::JoinHandle<()>,
}

impl Model {
    pub(crate) async fn start() -> Self {
        let script = Arc::new(Script::default());
        let router = Router::new()
            .route("/v1/models", get(models))
            .route("/models", get(models))
            .route("/v1/chat/completions", post(complete))
            // Pictures come again with every question.
            .layer(DefaultBodyLimit::disable())
            .with_state(script.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/v1", listener.local_addr().expect("bound"));
        let serve = async move { axum::serve(listener, router).await.expect("serves") };
        let task = tokio::spawn(serve);
        Self { url, script, task }
    }

    /// How often it was asked for an answer.
    pub(crate) fn asked(&self) -> usize {
        self.script.asked.load(Ordering::SeqCst)
    }

    /// The pictures of all messages of the last question, oldest first, as `data:` URLs.
    #[allow(dead_code, reason = "not every test shows pictures")]
    pub(crate) fn pictures(&self) -> Vec<String> {
        let pictures = self.script.pictures.lock();
        pictures.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on everything is refused so; with `None`, nothing is.
    #[allow(dead_code, reason = "only the bridge's tests use it")]
    pub(crate) fn refuse(&self, refusal: Option<Refusal>) {
        *self
            .script
            .refusal
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = refusal;
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn models() -> Json<Value> {
    Json(
        // A generic endpoint tells no more than the first of these; the rest is how llama.cpp tells that a model sees.
        json!({"object": "list", "data": [{"id": "scripted", "object": "model", "context_length": 128_000,
            "status": {"value": "loaded"}, "architecture": {"input_modalities": ["text", "image"]}, "meta": {"n_ctx": 128_000}}]}),
    )
}

/// What the model has said comes back with every later question, halves of UTF-16 pairs included.
fn without_lone_halves(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let escape = rest
            .get(at..at + 6)
            .unwrap_or_default()
            .to_ascii_lowercase();
        let is_half = escape.starts_with("\\ud") && escape.as_bytes()[3] >= b'8';
        let end = if is_half { at + 6 } else { at + 2 };
        out.push_str(&rest[..at]);
        out.push_str(if is_half { "?" } else { &rest[at..end] });
        rest = &rest[end..];
    }
    out + rest
}

/// What the model does next.
enum Act {
    Say(Vec<String>, Duration),
    Think(String),
    Call(Vec<String>),
    /// Deltas as they are written, and how they end.
    Raw(Vec<String>, &'static str),
    Fail,
    Break,
}

async fn complete(State(script): State<Arc<Script>>, body: Bytes) -> Response {
    let body = without_lone_halves(&String::from_utf8_lossy(&body));
    let body: Value = serde_json::from_str(&body).expect("the server sends JSON");
    let number = script.asked.fetch_add(1, Ordering::SeqCst) + 1;
    let refusal = script
        .refusal
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    if let Some(Refusal {
        status,
        retry_after,
        body,
    }) = refusal
    {
        let status = StatusCode::from_u16(status).expect("a status");
        let header = retry_after.map(|seconds| [("retry-after", seconds.to_string())]);
        return match header {
            Some(header) => (status, header, Json(body)).into_response(),
            None => (status, Json(body)).into_response(),
        };
    }
    let shown: Vec<_> = body["messages"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(images)
        .collect();
    *script
        .pictures
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = shown;
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
            let call = |(index, command): (usize, String)| {
                let arguments = json!({"command": command, "description": "the script says so"});
                let id = if index == 0 { format!("call_{number}") } else { format!("call_{number}_{index}") };
                json!({"tool_calls": [{"index": index, "id": id, "type": "function",
                    "function": {"name": "Bash", "arguments": arguments.to_string()}}]})
            };
            let calls = commands.into_iter().enumerate().map(call);
            events(calls.collect(), Duration::ZERO, Some("tool_calls"))
        }
        Act::Raw(deltas, end) => raw_events(deltas.into_iter().map(|delta| delta.replace("NUMBER", &number.to_string())), Duration::ZERO, Some(end)),
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
                "say", "think", "count", "run", "both", "tools", "pictures", "fail", "break", "odd",
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
        ("run" | "both" | "odd", Some(returned)) => {
            let text = text(&returned["content"]);
            Act::Say(vec!["it returned: ".into(), text], Duration::ZERO)
        }
        ("run", None) => Act::Call(vec![rest.to_owned()]),
        ("both", None) => Act::Call(rest.split(" ;; ").map(str::to_owned).collect()),
        ("odd", None) => odd(rest),
        ("think", _) => Act::Think(rest.to_owned()),
        ("count", _) => {
            let to: u32 = rest.parse().unwrap_or(3);
            Act::Say((1..=to).map(|n| format!("{n} ")).collect(), BEAT)
        }
        ("tools", _) => Act::Say(vec![tools.to_string()], Duration::ZERO),
        ("pictures", _) => {
            let (now, all) = (
                images(&messages[at]).len(),
                messages.iter().flat_map(images),
            );
            Act::Say(vec![format!("{now} of {}", all.count())], Duration::ZERO)
        }
        ("fail", _) => Act::Fail,
        ("break", _) => Act::Break,
        _ => Act::Say(
            rest.split_inclusive(' ').map(str::to_owned).collect(),
            Duration::ZERO,
        ),
    }
}

/// The pictures of a message.
fn images(message: &Value) -> Vec<String> {
    let parts = message["content"].as_array().into_iter().flatten();
    let urls = parts.filter_map(|part| part["image_url"]["url"].as_str());
    urls.map(str::to_owned).collect()
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

/// What JSON in Rust cannot hold, in words or in the arguments of a call.
fn odd(rest: &str) -> Act {
    let (kind, command) = rest.split_once(' ').unwrap_or((rest, ""));
    let pieces: &[&str] = match kind {
        "half" => &[r"a \ud83d", r"\ude00 b"],
        "lone" => &[r"a \ud83d b"],
        "nul" => &[r"a \u0000 b"],
        _ => &["n"],
    };
    let number = if kind == "number" {
        r#","odd":1e999"#
    } else {
        ""
    };
    if command.is_empty() {
        let say = |piece: &&str| format!(r#"{{"content":"{piece}"{number}}}"#);
        return Act::Raw(pieces.iter().map(say).collect(), "stop");
    }
    // The arguments are JSON in a JSON text.
    let arguments = format!(
        r#"{{"command":{},"description":"{}"{number}}}"#,
        json!(command),
        pieces.concat()
    );
    let call = format!(
        r#"{{"tool_calls":[{{"index":0,"id":"call_NUMBER","type":"function","function":{{"name":"Bash","arguments":{}}}}}]}}"#,
        json!(arguments)
    );
    Act::Raw(vec![call], "tool_calls")
}

/// Chunks as server-sent events; without an end, the connection breaks.
fn events(deltas: Vec<Value>, beat: Duration, end: Option<&'static str>) -> Response {
    let deltas = deltas.into_iter().map(|delta| delta.to_string());
    raw_events(deltas, beat, end)
}

fn raw_events(
    deltas: impl Iterator<Item = String>,
    beat: Duration,
    end: Option<&'static str>,
) -> Response {
    let chunk = |delta: &str, end: Option<&str>| {
        let end = json!(end);
        format!(
            "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"model\":\"scripted\",\
             \"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{end}}}]}}\n\n"
        )
    };
    let mut lines: Vec<_> = deltas.map(|delta| chunk(&delta, None)).collect();
    if let Some(end) = end {
        lines.push(chunk("{}", Some(end)));
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
