//! Turns that go well, and turns that fail in ways that Letta tells.

use std::time::Duration;

use letta_client::{
    Backend, BackendError, Conversation, Destination, FailureKind, Image, Part, Speaker,
    StopReason, ToolPolicy, TurnEvent, demo::Demo, rest::TurnLimits,
};

use super::{Lab, Turn, is_text, prompt, until, words};

/// A turn's events in short: what a test compares.
fn story(turn: &Turn) -> Vec<String> {
    let mut story: Vec<String> = Vec::new();
    for event in &turn.events {
        let (kind, text) = match event {
            TurnEvent::Started { .. } => ("started", String::new()),
            TurnEvent::Text { delta, .. } => ("text ", delta.clone()),
            TurnEvent::Reasoning { delta, .. } => ("reasoning ", delta.clone()),
            TurnEvent::Discard { .. } => ("discard", String::new()),
            TurnEvent::ToolCall(call) => ("call ", format!("{} {}", call.name, call.arguments)),
            TurnEvent::ToolReturn { ok, text, .. } => ("return ", format!("{ok} {text}")),
            TurnEvent::Approval(request) => ("approval of ", request.calls.len().to_string()),
            TurnEvent::Retrying { .. } => ("retrying", String::new()),
            TurnEvent::Interrupted => ("interrupted", String::new()),
            TurnEvent::Reconnected => ("reconnected", String::new()),
            TurnEvent::CallDropped(call) => ("dropped ", call.name.clone()),
            TurnEvent::Finished(stop) => ("finished ", format!("{stop:?}")),
        };
        match story.last_mut() {
            Some(last) if matches!(kind, "text " | "reasoning ") && last.starts_with(kind) => {
                *last += &text;
            }
            _ => story.push(format!("{kind}{text}")),
        }
    }
    story
}

#[tokio::test]
async fn an_answer_comes_word_by_word() {
    let lab = Lab::new().await;
    let turn = lab.turn("$1", "say: one two three").await;
    assert_eq!(
        story(&turn),
        ["started", "text one two three", "finished EndTurn"]
    );
    assert_eq!(turn.events.iter().filter(|event| is_text(event)).count(), 3);
}

#[tokio::test]
async fn picture_reaches_the_server_or_its_model_says_that_it_takes_none() {
    let lab = Lab::new().await;
    let image = Image {
        mimetype: "image/png".into(),
        // Larger than what the demo's framework takes by default.
        bytes: vec![7; 3 * 1024 * 1024].into(),
    };
    let mut look = prompt("$1", "pictures:");
    look.parts.push(Part::Image(image.clone()));
    let policy = ToolPolicy::default();
    let turn = lab.backend.send(&lab.to, &[look.clone()], policy).await;
    let turn = Turn::read(turn.unwrap()).await;
    assert_eq!(turn.text(), "pictures: image/png, 3145728 bytes");
    assert_eq!(lab.demo().pictures(), [image]);
    let counted = lab.turn("$2", "count:").await;
    assert!(counted.text().contains("images=1"), "{}", counted.text());

    lab.demo().set_faults(|faults| faults.no_pictures = true);
    look.key = "$3".to_owned();
    let turn = lab.backend.send(&lab.to, &[look], policy).await;
    let turn = Turn::read(turn.unwrap()).await;
    let StopReason::Failed(failure) = turn.stop() else {
        panic!("{:?}", turn.stop());
    };
    assert_eq!(failure.kind, FailureKind::NoPictures);
}

#[tokio::test]
async fn reasoning_comes_before_the_answer() {
    let lab = Lab::new().await;
    let turn = lab.turn("$1", "think: let me see => it is 4").await;
    let expected = [
        "started",
        "reasoning let me see",
        "text it is 4",
        "finished EndTurn",
    ];
    assert_eq!(story(&turn), expected);
}

#[tokio::test]
async fn tools_are_called_return_and_are_spoken_of() {
    let lab = Lab::new().await;
    let turn = lab
        .turn("$1", r#"saytool: a moment => look {"at":"the sky"}"#)
        .await;
    assert_eq!(
        story(&turn),
        [
            "started",
            "text a moment",
            r#"call look {"at":"the sky"}"#,
            r#"return true demo result for {"at":"the sky"}"#,
            r#"text tool look returned: demo result for {"at":"the sky"}"#,
            "finished EndTurn"
        ]
    );
    let turn = lab.turn("$2", "tools: look {} ;; fail_to_look {}").await;
    assert_eq!(story(&turn)[1..3], ["call look {}", "call fail_to_look {}"]);
    assert!(
        story(&turn)[4].starts_with("return false Error:"),
        "{turn:?}"
    );
}

#[tokio::test]
async fn several_prompts_are_one_turn() {
    let lab = Lab::new().await;
    let prompts = [prompt("$1", "good morning"), prompt("$2", "are you there?")];
    let turn = Turn::read(
        lab.backend
            .send(&lab.to, &prompts, ToolPolicy::default())
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(turn.text(), "You said: good morning\nare you there?");
    assert_eq!((lab.demo().runs("$1"), lab.demo().runs("$2")), (1, 1));
}

#[tokio::test]
async fn an_agent_may_say_nothing() {
    let lab = Lab::new().await;
    let turn = lab.turn("$1", "empty:").await;
    assert_eq!(story(&turn), ["started", "finished EndTurn"]);
    // The stored messages were looked at before that was believed.
    assert_eq!(lab.demo().request_count("GET /v1/runs/{run}/messages"), 1);
}

#[tokio::test]
async fn failures_of_the_model_have_codes_and_say_whether_to_retry() {
    let lab = Lab::new().await;
    for (key, text, code, transient) in [
        ("$1", "error: 500", "LLM_ERROR", true),
        ("$2", "error: 429", "LLM_RATE_LIMIT", true),
        ("$3", "error: 401", "LLM_AUTHENTICATION", false),
    ] {
        let turn = lab.turn(key, text).await;
        let StopReason::Failed(failure) = turn.stop() else {
            panic!("{turn:?}")
        };
        assert_eq!(
            (failure.code.as_str(), failure.is_transient()),
            (code, transient)
        );
    }
}

#[tokio::test]
async fn a_model_that_dies_fails_the_turn_after_what_it_said() {
    let lab = Lab::new().await;
    let turn = lab.turn("$1", "die:").await;
    assert_eq!(
        (turn.text().as_str(), turn.code()),
        ("about to", "INTERNAL_ERROR")
    );
    assert_eq!(lab.demo().runs("$1"), 1);
    assert_eq!(lab.turn("$2", "say: alive").await.text(), "alive");
}

#[tokio::test]
async fn pings_keep_a_thinking_agent_alive() {
    let demo = Demo::builder()
        .ping_every(Duration::from_millis(100))
        .build();
    let lab = Lab::of(demo, |config| {
        config.idle_timeout = Duration::from_millis(900);
    })
    .await;
    let turn = lab.turn("$1", "wait: 1").await;
    assert_eq!(
        (turn.text().as_str(), turn.stop()),
        ("waited 1s", &StopReason::EndTurn)
    );
}

#[tokio::test]
async fn an_answer_past_the_limit_fails_and_ends() {
    let limits = TurnLimits {
        text_bytes: 1_000,
        ..TurnLimits::default()
    };
    let lab = Lab::of(Demo::new(), |config| config.limits = limits).await;
    let turn = lab.turn("$1", "long: 5000").await;
    assert_eq!(turn.code(), "ANSWER_TOO_LONG");
    assert!(turn.text().len() <= 1_000);
}

#[tokio::test]
async fn a_turn_past_its_timeout_fails_and_ends() {
    let timeout = Some(Duration::from_millis(400));
    let lab = Lab::of(Demo::new(), |config| config.turn_timeout = timeout).await;
    let turn = lab.turn("$1", "slow: 100").await;
    assert_eq!(turn.code(), "TURN_TOO_LONG");
}

#[tokio::test]
async fn the_same_prompts_again_attach_to_the_first_run() {
    let lab = Lab::new().await;
    let first = lab.send("$1", "slow: 4").await.unwrap();
    let second = lab.send("$1", "slow: 4").await.unwrap();
    let (first, second) = tokio::join!(Turn::read(first), Turn::read(second));
    assert_eq!((first.text(), second.text()), (words(4), words(4)));
    assert_eq!(first.run(), second.run());
    let third = lab.turn("$1", "slow: 4").await;
    assert_eq!(third.text(), words(4));
    assert_eq!((lab.demo().sends("$1"), lab.demo().runs("$1")), (3, 1));
}

#[tokio::test]
async fn another_message_while_a_run_is_in_progress_is_busy() {
    let lab = Lab::new().await;
    let mut stream = lab.send("$1", "slow: 3").await.unwrap();
    let started = until(&mut stream, |_| true).await;
    let [TurnEvent::Started { run, .. }] = &started[..] else {
        panic!("{started:?}")
    };
    let error = lab.send("$2", "say: me too").await.err().unwrap();
    let BackendError::Busy { run: Some(other) } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(other, run);
    // The end of the stream is the end of the run: the next message meets no lock.
    Turn::read(stream).await;
    assert_eq!(lab.turn("$2", "say: me too").await.text(), "me too");
}

#[tokio::test]
async fn busy_is_told_as_often_as_it_is_and_starts_no_run() {
    let lab = Lab::new().await;
    lab.demo().fail_next_sends_busy(2);
    for _ in 0..2 {
        let error = lab.send("$1", "say: hi").await.err().unwrap();
        assert!(
            matches!(error, BackendError::Busy { run: Some(_) }),
            "{error:?}"
        );
    }
    assert_eq!(lab.turn("$1", "say: hi").await.text(), "hi");
    assert_eq!(lab.demo().sends("$1"), 1);
}

#[tokio::test]
async fn two_conversations_of_one_agent_run_side_by_side() {
    let lab = Lab::new().await;
    let conversation = lab
        .backend
        .create_conversation(&lab.to.agent, "a thread")
        .await
        .unwrap();
    assert_ne!(conversation, Conversation::Default);
    let own = Destination {
        conversation,
        ..lab.to.clone()
    };
    let mut slow = lab.send("$1", "slow: 4").await.unwrap();
    until(&mut slow, is_text).await;
    let quick = lab
        .backend
        .send(&own, &[prompt("$2", "say: hi")], ToolPolicy::default())
        .await
        .unwrap();
    assert_eq!(Turn::read(quick).await.text(), "hi");
    assert_eq!(Turn::read(slow).await.stop(), &StopReason::EndTurn);
}

#[tokio::test]
async fn a_server_without_redis_answers_in_the_foreground_and_is_asked_once() {
    let lab = Lab::new().await;
    lab.demo().set_faults(|faults| faults.no_redis = true);
    for key in ["$1", "$2"] {
        assert_eq!(lab.turn(key, "say: hi").await.text(), "hi");
    }
    assert_eq!(
        lab.demo()
            .request_count("POST /v1/conversations/default/messages"),
        3
    );
    assert_eq!(lab.backend.info().await.unwrap().idempotent, Some(false));
}

#[tokio::test]
async fn a_server_without_conversations_answers_on_the_agents_own_route() {
    let lab = Lab::new().await;
    lab.demo()
        .set_faults(|faults| faults.no_conversations = true);
    assert_eq!(lab.turn("$1", "say: hi").await.text(), "hi");
    assert_eq!(
        lab.demo()
            .request_count("POST /v1/agents/{agent}/messages/stream"),
        1
    );
    assert_eq!(lab.backend.history(&lab.to, 10).await.unwrap().len(), 2);
    assert!(!lab.backend.cancel(&lab.to).await.unwrap());
}

#[tokio::test]
async fn the_demo_forgets_its_oldest_runs_and_messages() {
    use letta_client::demo::{MESSAGES_MAX, RUNS_MAX};
    let lab = Lab::new().await;
    let first = lab.turn("$first", "say: hi").await.run();
    let many: Vec<_> = (0..MESSAGES_MAX)
        .map(|n| prompt(&format!("${n}"), "say: hi"))
        .collect();
    Turn::read(
        lab.backend
            .send(&lab.to, &many, ToolPolicy::default())
            .await
            .unwrap(),
    )
    .await;
    for n in 0..RUNS_MAX {
        lab.turn(&format!("$again{n}"), "say: hi").await;
    }
    assert_eq!(lab.demo().sends("$first"), 1);
    let error = lab.backend.resume(&lab.to, &first).await.err().unwrap();
    assert!(matches!(error, BackendError::NotFound { .. }), "{error:?}");
    let history = lab
        .backend
        .history(&lab.to, 2 * MESSAGES_MAX)
        .await
        .unwrap();
    assert!(
        history
            .iter()
            .all(|item| item.key.as_deref() != Some("$first"))
    );
}

#[tokio::test]
async fn an_agent_or_conversation_that_is_gone_is_not_found() {
    let lab = Lab::new().await;
    let gone = Conversation::Own("conv-00000000-0000-4000-8000-000000000000".parse().unwrap());
    let own = Destination {
        conversation: gone,
        ..lab.to.clone()
    };
    let error = lab
        .backend
        .send(&own, &[prompt("$1", "hi")], ToolPolicy::default())
        .await
        .err()
        .unwrap();
    assert!(matches!(error, BackendError::NotFound { .. }), "{error:?}");
    lab.demo().remove_agent(&lab.to.agent);
    let error = lab.send("$1", "say: hi").await.err().unwrap();
    assert_eq!(
        error.to_string(),
        format!("Letta does not know agent {}", lab.to.agent)
    );
}

#[tokio::test]
async fn a_running_turn_can_be_cancelled_and_the_agent_is_free_at_once() {
    for no_redis in [false, true] {
        let lab = Lab::new().await;
        lab.demo().set_faults(|faults| faults.no_redis = no_redis);
        let mut stream = lab.send("$1", "slow: 100").await.unwrap();
        until(&mut stream, is_text).await;
        assert!(lab.backend.cancel(&lab.to).await.unwrap());
        assert_eq!(Turn::read(stream).await.stop(), &StopReason::Cancelled);
        assert!(!lab.backend.cancel(&lab.to).await.unwrap());
        assert_eq!(lab.turn("$2", "say: here").await.text(), "here");
    }
}

#[tokio::test]
async fn a_speaker_reaches_the_stored_message() {
    let lab = Lab::new().await;
    let speaker = Speaker {
        name: "Alice the 1st!".into(),
        id: "@alice:example.org".into(),
    };
    let prompt = letta_client::Prompt {
        speaker: Some(speaker),
        ..prompt("$1", "say: hi")
    };
    Turn::read(
        lab.backend
            .send(&lab.to, &[prompt], ToolPolicy::default())
            .await
            .unwrap(),
    )
    .await;
    let url = format!("{}/v1/agents/{}/messages", lab.server.url(), lab.to.agent);
    let stored = reqwest::get(url).await.unwrap().text().await.unwrap();
    assert!(stored.contains(r#""name":"Alicethe1st""#), "{stored}");
    assert!(
        stored.contains(r#""sender_id":"@alice:example.org""#),
        "{stored}"
    );
}
