//! The REST backend against the demo server, over real sockets on loopback.
//!
//! Each test reads as one sentence about what a bridge can rely on. Nothing here sleeps to wait
//! for something to happen: a test waits for the event that says so.
#![allow(
    clippy::disallowed_methods,
    reason = "tests and measurements spawn what they need and ask what time it is"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "in a test a broken assumption should stop the test at once"
)]

use std::time::Duration;

use futures_util::StreamExt;
use letta_client::{
    Backend, BackendError, Conversation, Destination, Prompt, RunId, StopReason, ToolPolicy,
    TurnEvent, TurnStream,
    demo::{Demo, DemoServer},
    rest::{RestBackend, RestConfig},
};

mod access;
mod approvals;
mod detected;
mod frames;
mod history;
mod listing;
mod lost;
mod openai;
mod sending;
mod unclear;
mod v1;

/// Longer than any turn of these tests, shorter than anybody's patience.
const TURN_MAX: Duration = Duration::from_secs(30);

/// A demo, and a backend that reaches it.
struct Lab {
    server: DemoServer,
    backend: RestBackend,
    to: Destination,
}

impl Lab {
    async fn new() -> Self {
        Self::of(Demo::new(), |_| {}).await
    }

    async fn of(demo: Demo, change: impl FnOnce(&mut RestConfig)) -> Self {
        let server = DemoServer::start(demo, ([127, 0, 0, 1], 0).into())
            .await
            .unwrap();
        let backend = backend(&server.url(), change);
        let agent = server.demo().agents()[0].id.clone();
        Self {
            server,
            backend,
            to: Destination {
                agent,
                conversation: Conversation::Default,
            },
        }
    }

    fn demo(&self) -> &Demo {
        self.server.demo()
    }

    async fn send(&self, key: &str, text: &str) -> Result<TurnStream, BackendError> {
        self.backend
            .send(&self.to, &[prompt(key, text)], ToolPolicy::default())
            .await
    }

    /// Sends and reads the turn to its end.
    async fn turn(&self, key: &str, text: &str) -> Turn {
        Turn::read(self.send(key, text).await.unwrap()).await
    }
}

/// A backend that does not wait long for anything.
fn backend(url: &str, change: impl FnOnce(&mut RestConfig)) -> RestBackend {
    let mut config = RestConfig {
        reconnect_delay: Duration::from_millis(5),
        poll_delay: Duration::from_millis(5),
        away_min: Duration::ZERO,
        dead_after: Duration::from_millis(60),
        ..RestConfig::new(url)
    };
    change(&mut config);
    RestBackend::new(config).unwrap()
}

fn prompt(key: &str, text: &str) -> Prompt {
    Prompt::new(key, text)
}

/// A turn that has been read to its end.
#[derive(Debug)]
struct Turn {
    events: Vec<TurnEvent>,
    error: Option<BackendError>,
}

impl Turn {
    /// Reads to the end, and checks that it ends once: with `Finished` or an error, never both.
    async fn read(stream: TurnStream) -> Self {
        let items = tokio::time::timeout(TURN_MAX, stream.collect::<Vec<_>>())
            .await
            .unwrap();
        let mut turn = Self {
            events: Vec::new(),
            error: None,
        };
        let last = items.len() - 1;
        for (at, item) in items.into_iter().enumerate() {
            let ends = !matches!(&item, Ok(event) if !matches!(event, TurnEvent::Finished(_)));
            assert_eq!(ends, at == last, "{item:?} at {at} of {last}");
            match item {
                Ok(event) => turn.events.push(event),
                Err(error) => turn.error = Some(error),
            }
        }
        turn
    }

    fn stop(&self) -> &StopReason {
        match self.events.last() {
            Some(TurnEvent::Finished(stop)) => stop,
            other => panic!("not finished but {other:?}, {:?}", self.error),
        }
    }

    /// The code of a failed turn.
    fn code(&self) -> &str {
        match self.stop() {
            StopReason::Failed(failure) => &failure.code,
            other => panic!("not failed but {other:?}"),
        }
    }

    /// What a person would read at the end: all text that was not discarded.
    fn text(&self) -> String {
        let mut texts: Vec<(&str, &str)> = Vec::new();
        for event in &self.events {
            match event {
                TurnEvent::Text { message, delta } => texts.push((message.as_str(), delta)),
                TurnEvent::Discard { message } => texts.retain(|(id, _)| *id != message.as_str()),
                _ => {}
            }
        }
        texts.into_iter().map(|(_, delta)| delta).collect()
    }

    fn run(&self) -> RunId {
        let run = self.events.iter().find_map(|event| match event {
            TurnEvent::Started { run, .. } => Some(run.clone()),
            _ => None,
        });
        run.unwrap()
    }
}

/// Reads a stream up to its first event of a kind, and hands the rest back.
async fn until(stream: &mut TurnStream, wanted: impl Fn(&TurnEvent) -> bool) -> Vec<TurnEvent> {
    let mut events = Vec::new();
    loop {
        let next = tokio::time::timeout(TURN_MAX, stream.next()).await.unwrap();
        events.push(next.unwrap().unwrap());
        if wanted(events.last().unwrap()) {
            return events;
        }
    }
}

fn is_text(event: &TurnEvent) -> bool {
    matches!(event, TurnEvent::Text { .. })
}

/// What `slow: n` and `long: n` say.
fn words(count: usize) -> String {
    (0..count)
        .map(|n| format!("w{n}"))
        .collect::<Vec<_>>()
        .join(" ")
}
