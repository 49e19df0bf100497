//! Connections that break, servers that fall silent, runs that are taken up again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt, stream};
use letta_client::{
    Backend, BackendError, Conversation, Destination, StopReason, ToolPolicy, TurnEvent,
    demo::{Demo, DemoServer},
    rest::{BARREN_CONNECTIONS_MAX, RESENDS_MAX},
};
use serde_json::json;

use super::{Lab, Turn, is_text, until, words};

const RESUME: &str = "POST /v1/runs/{run}/stream";
const SEND: &str = "POST /v1/conversations/default/messages";

#[tokio::test]
async fn a_broken_stream_goes_on_where_it_broke() {
    let lab = Lab::new().await;
    lab.demo().drop_connection_after(4);
    let turn = lab.turn("$1", "long: 50").await;
    assert_eq!(
        (turn.text(), turn.stop()),
        (words(50), &StopReason::EndTurn)
    );
    assert_eq!(
        turn.events.iter().filter(|event| is_text(event)).count(),
        50
    );
    assert_eq!((lab.demo().sends("$1"), lab.demo().runs("$1")), (1, 1));
    assert_eq!(lab.demo().request_count(RESUME), 1);
}

#[tokio::test]
async fn a_stream_that_breaks_again_and_again_still_arrives_whole() {
    let lab = Lab::new().await;
    for _ in 0..20 {
        lab.demo().drop_connection_after(2);
    }
    let turn = lab.turn("$1", "long: 50").await;
    assert_eq!(turn.text(), words(50));
    assert_eq!(lab.demo().runs("$1"), 1);
}

#[tokio::test]
async fn a_stream_that_breaks_before_its_first_event_is_asked_for_again_and_runs_once() {
    let lab = Lab::new().await;
    lab.demo().drop_connection_after(0);
    let turn = lab.turn("$1", "say: once").await;
    assert_eq!(turn.text(), "once");
    assert_eq!(lab.demo().request_count(SEND), 2);
    assert_eq!(lab.demo().runs("$1"), 1);
}

#[tokio::test]
async fn a_run_whose_stream_brings_nothing_more_is_polled() {
    let lab = Lab::new().await;
    lab.demo().drop_connection_after(3);
    for _ in 0..5 {
        lab.demo().drop_connection_after(0);
    }
    let turn = lab.turn("$1", "slow: 6").await;
    assert_eq!((turn.text(), turn.stop()), (words(6), &StopReason::EndTurn));
    assert!(lab.demo().request_count("GET /v1/runs/{run}") > 0);
}

#[tokio::test]
async fn a_server_that_restarts_in_the_middle_loses_nothing() {
    let lab = Lab::of(Demo::new(), |config| {
        config.reconnect_delay = Duration::from_millis(50);
    })
    .await;
    let mut stream = lab.send("$1", "slow: 8").await.unwrap();
    let mut events = until(&mut stream, is_text).await;
    let (demo, address) = (lab.demo().clone(), lab.server.address());
    lab.server.shutdown().await;
    let restart = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        DemoServer::start(demo, address).await.unwrap()
    };
    let (mut rest, server) = tokio::join!(Turn::read(stream), restart);
    events.append(&mut rest.events);
    let turn = Turn {
        events,
        error: rest.error,
    };
    assert_eq!((turn.text(), turn.stop()), (words(8), &StopReason::EndTurn));
    assert_eq!(server.demo().runs("$1"), 1);
    let connection: Vec<_> = turn
        .events
        .iter()
        .filter(|event| matches!(event, TurnEvent::Interrupted | TurnEvent::Reconnected))
        .collect();
    assert_eq!(
        connection,
        [&TurnEvent::Interrupted, &TurnEvent::Reconnected],
        "told once each"
    );
}

/// A stand-in for a server: tells the end of the turn, and then neither `[DONE]` nor the end of the connection.
async fn never_done() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let stop = json!({"message_type": "stop_reason", "stop_reason": "end_turn"});
    let said = json!({"message_type": "assistant_message", "id": "message-1", "content": "said", "run_id": "run-1", "seq_id": 1});
    let frames = format!("data: {said}\n\ndata: {stop}\n\n");
    let router = axum::Router::new().fallback(move |method: http::Method| {
        let frames = stream::iter([Ok::<_, std::convert::Infallible>(frames.clone())]);
        async move {
            let body = if method == http::Method::POST {
                axum::body::Body::from_stream(frames.chain(stream::pending()))
            } else {
                "[]".into()
            };
            ([("content-type", "text/event-stream")], body)
        }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn stream_that_tells_its_end_and_stays_open_holds_nobody_up() {
    let backend = super::backend(&never_done().await, |config| {
        // Longer than a test may take: only the end itself can end it.
        config.idle_timeout = Duration::from_mins(10);
    });
    let to = Destination {
        agent: "agent-1".parse().unwrap(),
        conversation: Conversation::Own("conv-1".parse().unwrap()),
    };
    let prompts = [super::prompt("$1", "hello")];
    let stream = backend
        .send(&to, &prompts, ToolPolicy::default())
        .await
        .unwrap();
    let turn = Turn::read(stream).await;
    assert_eq!(
        (turn.text().as_str(), turn.stop()),
        ("said", &StopReason::EndTurn)
    );
}

/// A stand-in for a server: every stream says this and ends. Counts the streams that are asked for.
async fn always_ends_after(said: &'static str) -> (String, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let streams = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&streams);
    let router = axum::Router::new().fallback(move |method: http::Method| {
        let asked = usize::from(method == http::Method::POST);
        counted.fetch_add(asked, Ordering::Relaxed);
        let body = if asked == 1 { said } else { "[]" };
        async move { ([("content-type", "text/event-stream")], body) }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, streams)
}

#[tokio::test]
async fn stream_that_ends_without_progress_is_not_asked_for_without_end() {
    let no_run = [
        "",
        ": a comment\n\n",
        "data: {\"message_type\":\"ping\"}\n\n",
        "data: {\"message_type\":\"a_type_of_tomorrow\"}\n\n",
        "data: no JSON\n\n",
        "event: ping\ndata: {}\n\ndata: []\n\ndata: 1\n\n",
        "data: {\"message_type\":\"ping\",\"run_id\":\"\"}\n\n",
    ];
    let a_run = [
        "data: {\"message_type\":\"ping\",\"run_id\":\"run-1\",\"seq_id\":1}\n\n",
        "data: {\"message_type\":\"a_type_of_tomorrow\",\"run_id\":\"run-1\"}\n\n",
    ];
    // A run that is known is asked for, never its prompt.
    let most = 2 + usize::try_from(BARREN_CONNECTIONS_MAX).unwrap();
    let sent_again = 1 + usize::try_from(RESENDS_MAX).unwrap();
    let all = no_run.map(|said| (said, sent_again));
    for (said, most) in all.into_iter().chain(a_run.map(|said| (said, most))) {
        let (url, streams) = always_ends_after(said).await;
        let backend = super::backend(&url, |config| {
            config.reconnect_delay = Duration::from_millis(1);
        });
        let to = Destination {
            agent: "agent-1".parse().unwrap(),
            conversation: Conversation::Own("conv-1".parse().unwrap()),
        };
        let prompts = [super::prompt("$1", "hello")];
        let sent = backend.send(&to, &prompts, ToolPolicy::default()).await;
        let turn = Turn::read(sent.unwrap()).await;
        let ends =
            turn.error.is_some() || matches!(turn.events.last(), Some(TurnEvent::Finished(_)));
        assert!(ends, "{said:?}: {turn:?}");
        let streams = streams.load(Ordering::Relaxed);
        assert!(streams <= most, "{said:?}: {streams} streams, not {most}");
    }
}

#[tokio::test]
async fn a_server_that_goes_for_good_is_given_up_after_some_attempts() {
    let lab = Lab::of(Demo::new(), |config| {
        config.reconnect_delay = Duration::from_millis(1);
    })
    .await;
    let mut stream = lab.send("$1", "slow: 100").await.unwrap();
    until(&mut stream, is_text).await;
    lab.server.shutdown().await;
    let turn = Turn::read(stream).await;
    assert!(
        matches!(turn.error, Some(BackendError::Unreachable { .. })),
        "{turn:?}"
    );
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_is_silent() {
    let idle = Duration::from_millis(500);
    let lab = Lab::of(Demo::new(), |config| config.idle_timeout = idle).await;
    lab.demo().set_stall(true);
    let turn = lab.turn("$1", "say: hi").await;
    let Some(BackendError::Silent { after }) = turn.error else {
        panic!("{turn:?}")
    };
    assert_eq!(after, idle);
    // The run was accepted: the same message again finds it, once the server speaks.
    lab.demo().set_stall(false);
    assert_eq!(lab.turn("$1", "say: hi").await.text(), "hi");
    assert_eq!((lab.demo().sends("$1"), lab.demo().runs("$1")), (2, 1));
}

#[tokio::test]
async fn silence_after_the_first_word_is_a_dead_connection_once_and_an_error_twice() {
    // No ping comes before the timeout.
    let lab = Lab::of(Demo::new(), |config| {
        config.idle_timeout = Duration::from_millis(500);
    })
    .await;
    let turn = lab.turn("$1", "wait: 60").await;
    assert!(
        matches!(turn.error, Some(BackendError::Silent { .. })),
        "{turn:?}"
    );
    assert_eq!(lab.demo().request_count(RESUME), 1);
}

#[tokio::test]
async fn a_foreground_stream_that_breaks_is_completed_from_what_is_stored() {
    let lab = Lab::new().await;
    lab.demo().set_faults(|faults| faults.no_redis = true);
    lab.demo().drop_connection_after(3);
    let turn = lab.turn("$1", "saytool: look here => look {}").await;
    assert_eq!(
        turn.text(),
        "look heretool look returned: demo result for {}"
    );
    assert_eq!(turn.stop(), &StopReason::EndTurn);
    let calls = turn
        .events
        .iter()
        .filter(|event| matches!(event, TurnEvent::ToolCall(_)));
    assert_eq!(calls.count(), 1);
    assert_eq!(
        (lab.demo().runs("$1"), lab.demo().request_count(RESUME)),
        (1, 0)
    );
}

#[tokio::test]
async fn a_foreground_stream_that_breaks_before_its_first_event_is_not_sent_again() {
    let lab = Lab::new().await;
    lab.demo().set_faults(|faults| faults.no_redis = true);
    lab.demo().drop_connection_after(0);
    let turn = lab.turn("$1", "say: hi").await;
    assert!(
        matches!(turn.error, Some(BackendError::Unreachable { .. })),
        "{turn:?}"
    );
    assert_eq!(lab.demo().runs("$1"), 1);
}

#[tokio::test]
async fn a_lost_foreground_run_that_is_cancelled_keeps_what_was_shown() {
    let lab = Lab::new().await;
    lab.demo().set_faults(|faults| faults.no_redis = true);
    lab.demo().drop_connection_after(2);
    let mut stream = lab.send("$1", "slow: 100").await.unwrap();
    let mut events = until(&mut stream, is_text).await;
    lab.backend.cancel(&lab.to).await.unwrap();
    let mut rest = Turn::read(stream).await;
    events.append(&mut rest.events);
    let turn = Turn {
        events,
        error: None,
    };
    assert_eq!(turn.stop(), &StopReason::Cancelled);
    assert!(turn.text().starts_with("w0"), "{turn:?}");
}

#[tokio::test]
async fn dropping_a_stream_does_not_stop_the_turn() {
    for no_redis in [false, true] {
        let lab = Lab::new().await;
        lab.demo().set_faults(|faults| faults.no_redis = no_redis);
        let mut stream = lab.send("$1", "slow: 4").await.unwrap();
        let started = until(&mut stream, |_| true).await;
        drop(stream);
        let [
            TurnEvent::Started {
                run,
                resumable: true,
            },
        ] = &started[..]
        else {
            panic!("{started:?}")
        };
        let turn = Turn::read(lab.backend.resume(&lab.to, run).await.unwrap()).await;
        assert_eq!((turn.text(), turn.stop()), (words(4), &StopReason::EndTurn));
        assert_eq!(&turn.run(), run);
        // And once more after it has ended.
        let turn = Turn::read(lab.backend.resume(&lab.to, run).await.unwrap()).await;
        assert_eq!((turn.text(), turn.stop()), (words(4), &StopReason::EndTurn));
    }
}

#[tokio::test]
async fn how_a_run_ended_is_known_when_it_is_resumed() {
    for no_redis in [false, true] {
        let lab = Lab::new().await;
        lab.demo().set_faults(|faults| faults.no_redis = no_redis);
        let failed = lab.turn("$1", "error: 500").await.run();
        let resumed = Turn::read(lab.backend.resume(&lab.to, &failed).await.unwrap()).await;
        let code = if no_redis {
            "LLM_API_ERROR"
        } else {
            "LLM_ERROR"
        };
        assert_eq!(resumed.code(), code);
        let waiting = lab.turn("$2", "approve: launch {}").await.run();
        let resumed = Turn::read(lab.backend.resume(&lab.to, &waiting).await.unwrap()).await;
        assert_eq!(resumed.stop(), &StopReason::NeedsApproval);
        let asked = resumed
            .events
            .iter()
            .filter(|e| matches!(e, TurnEvent::Approval(_)));
        assert_eq!(asked.count(), 1);
    }
}

#[tokio::test]
async fn a_run_that_nobody_knows_is_not_found() {
    let lab = Lab::new().await;
    let run = "run-00000000-0000-4000-8000-000000000000".parse().unwrap();
    let error = lab.backend.resume(&lab.to, &run).await.err().unwrap();
    assert!(matches!(error, BackendError::NotFound { .. }), "{error:?}");
}
