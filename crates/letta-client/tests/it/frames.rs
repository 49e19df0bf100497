//! The demo's frames are a V1 server's frames, key for key, and its commands work over HTTP.

use regex::Regex;
use serde_json::{Value, json};

use super::Lab;

/// A stream without what differs from run to run: ids, dates, counts.
fn normalized(stream: &str) -> String {
    let uuid = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
    let mut text = stream.replace("fake", "scripted");
    for (pattern, by) in [
        (uuid, "UUID"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", "DATE"),
        (r"call_[0-9a-f]{20}", "CALL"),
        (r#"_tokens":\d+"#, "_tokens\":N"),
        (r#"step_count":\d+"#, "step_count\":N"),
    ] {
        text = Regex::new(pattern)
            .unwrap()
            .replace_all(&text, by)
            .into_owned();
    }
    text
}

async fn raw(lab: &Lab, text: &str, background: bool) -> String {
    let url = format!(
        "{}/v1/agents/{}/messages/stream",
        lab.server.url(),
        lab.to.agent
    );
    let body = json!({
        "messages": [{ "role": "user", "content": text }],
        "stream_tokens": true,
        "background": background,
    });
    let response = reqwest::Client::new()
        .post(url)
        .json(&body)
        .send()
        .await
        .unwrap();
    let kind = response.headers()["content-type"].to_str().unwrap();
    assert_eq!(kind, "text/event-stream; charset=utf-8");
    response.text().await.unwrap()
}

#[tokio::test]
async fn streams_are_those_of_a_real_server() {
    let lab = Lab::new().await;
    for (text, background, transcript) in [
        (
            "say: one two three four five",
            false,
            include_str!("../transcripts/tokens.txt"),
        ),
        (
            "think: let me think about it => final answer here",
            false,
            include_str!("../transcripts/think.txt"),
        ),
        ("empty:", false, include_str!("../transcripts/empty.txt")),
        (
            "error: 500",
            false,
            include_str!("../transcripts/error_500.txt"),
        ),
        (
            "error: 429",
            false,
            include_str!("../transcripts/error_429.txt"),
        ),
        (
            "error: 401",
            false,
            include_str!("../transcripts/error_401.txt"),
        ),
        ("die:", false, include_str!("../transcripts/die.txt")),
        (
            "say: background run please",
            true,
            include_str!("../transcripts/background.txt"),
        ),
    ] {
        let stream = raw(&lab, text, background).await;
        assert_eq!(normalized(&stream), normalized(transcript), "{text}");
    }
}

/// The pieces of a call's arguments differ, the keys do not.
#[tokio::test]
async fn calls_and_requests_have_the_keys_of_a_real_server() {
    let lab = Lab::new().await;
    let shapes = |stream: &str, kind: &str| -> Vec<String> {
        let strings = Regex::new(r#"":"(?:[^"\\]|\\.)*""#).unwrap();
        let mut shapes: Vec<_> = stream
            .lines()
            .filter(|line| line.contains(&format!(r#""message_type":"{kind}""#)))
            .map(|line| strings.replace_all(line, "\":S").into_owned())
            .collect();
        shapes.dedup();
        shapes
    };
    for (text, transcript, kinds) in [
        (
            r#"saytool: let me look => memory_insert {"label":"human","new":"likes tea"}"#,
            include_str!("../transcripts/tool_tokens.txt"),
            &["tool_call_message", "tool_return_message"][..],
        ),
        (
            r#"approve: memory_insert {"label":"human","new":"approved fact"}"#,
            include_str!("../transcripts/approval.txt"),
            &["approval_request_message"],
        ),
    ] {
        let stream = raw(&lab, text, false).await;
        for kind in kinds {
            let expected = shapes(transcript, kind);
            assert!(!expected.is_empty());
            assert_eq!(shapes(&stream, kind), expected, "{kind}");
        }
    }
}

#[tokio::test]
async fn the_demo_is_commanded_over_http_too() {
    let lab = Lab::new().await;
    let client = reqwest::Client::new();
    let url = |path: &str| format!("{}/_demo/{path}", lab.server.url());
    let added: Value = client
        .post(url("agents"))
        .json(&json!({ "name": "Mary (demo)" }))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let id = added["id"].as_str().unwrap();
    let renaming = client
        .patch(url(&format!("agents/{id}")))
        .json(&json!({ "name": "Max" }));
    assert_eq!(renaming.send().await.unwrap().status(), 204);
    assert_eq!(lab.demo().agents()[3].name, "Max");
    let removed = async || {
        client
            .delete(url(&format!("agents/{id}")))
            .send()
            .await
            .unwrap()
    };
    assert_eq!(removed().await.status(), 204);
    assert_eq!(removed().await.status(), 404);

    let change = client
        .patch(url("mischief"))
        .json(&json!({ "busy": 1, "drop_after": [3] }));
    assert!(change.send().await.unwrap().status().is_success());
    assert_eq!(lab.demo().faults().busy, 1);
    let nonsense = client.patch(url("mischief")).json(&json!({ "bsy": 1 }));
    assert_eq!(nonsense.send().await.unwrap().status(), 422);

    lab.send("$1", "say: hi").await.err().unwrap();
    assert_eq!(lab.turn("$1", "say: hi").await.text(), "hi");
    let records: Value = client
        .get(url("records"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(records["sends"][0]["otid"], "$1");
    assert_eq!(
        records["requests"]["POST /v1/conversations/default/messages"],
        2
    );
}
