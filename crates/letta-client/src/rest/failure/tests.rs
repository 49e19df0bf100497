//! Every status in every shape, and what it may cost.

use super::*;
use crate::failure::FailurePolicy::{self, Forget, Refuse, Wait};

const AGENT: &str = "agent-11111111-1111-4111-8111-111111111111";
const CONVERSATION: &str = "conv-22222222-2222-4222-8222-222222222222";
const RUN: &str = "run-33333333-3333-4333-8333-333333333333";

fn refusal(status: u16, body: &str) -> ErrorResponse {
    ErrorResponse::new(status, &HeaderMap::new(), body.as_bytes())
}

fn error(status: u16, body: &str) -> BackendError {
    refusal(status, body).into_error(RequestTarget::Server("a test"))
}

/// What a body looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Letta says that just the thing that was asked for is gone.
    GoneItself,
    /// Letta says that something else is gone.
    GoneOther,
    /// Letta's web framework has no such path.
    NoRoute,
    /// Letta, with other words.
    Letta,
    Empty,
    Text,
    Html,
    /// What Traefik says while a container is away.
    Traefik,
    /// Another program's JSON, as an API gateway's.
    OtherJson,
}

const SHAPES: [Shape; 9] = [
    Shape::GoneItself,
    Shape::GoneOther,
    Shape::NoRoute,
    Shape::Letta,
    Shape::Empty,
    Shape::Text,
    Shape::Html,
    Shape::Traefik,
    Shape::OtherJson,
];

const STATUSES: [u16; 24] = [
    300, 302, 307, 400, 401, 402, 403, 404, 405, 408, 409, 410, 413, 415, 418, 422, 425, 429, 499,
    500, 502, 503, 504, 529,
];

/// What a call asks for, with the words in which V1 says that it is gone.
fn operations<'a>(to: &'a [Destination; 2], run: &'a RunId) -> [(RequestTarget<'a>, String); 6] {
    // V1 0.16.8 says these, whole; the rest of the second names the actor.
    let by_list = |kind: &str, id: &str| {
        format!(
            "{kind} not found with id='['{id}']', access level in ['read'] for actor='id='user-0'"
        )
    };
    [
        (
            RequestTarget::Agent(&to[0].agent),
            format!("Agent with ID {AGENT} not found"),
        ),
        (
            RequestTarget::Agent(&to[0].agent),
            "Agent not found".to_owned(),
        ),
        (RequestTarget::Conversation(&to[0]), by_list("Agent", AGENT)),
        (
            RequestTarget::Conversation(&to[1]),
            by_list("Conversation", CONVERSATION),
        ),
        (
            RequestTarget::Conversation(&to[1]),
            format!("Agent with ID {AGENT} not found"),
        ),
        (RequestTarget::Run(run), by_list("Run", RUN)),
    ]
}

fn body(shape: Shape, gone: &str) -> String {
    let detail = |words: &str| serde_json::json!({ "detail": words }).to_string();
    match shape {
        Shape::GoneItself => detail(gone),
        Shape::GoneOther => {
            detail("Agent with ID agent-99999999-9999-4999-8999-999999999999 not found")
        }
        Shape::NoRoute => detail("Not Found"),
        Shape::Letta => detail("INVALID_ARGUMENT: something else"),
        Shape::Empty => String::new(),
        Shape::Text => "not found".to_owned(),
        Shape::Html => format!("<html><body><h1>404 Not Found</h1>{gone}</body></html>"),
        Shape::Traefik => "404 page not found\n".to_owned(),
        Shape::OtherJson => {
            serde_json::json!({ "message": format!("no Route matched: {gone}") }).to_string()
        }
    }
}

/// The table at the top of `failure.rs`, once more and by another way.
fn expected(status: u16, shape: Shape) -> FailurePolicy {
    let from_letta = matches!(shape, Shape::GoneItself | Shape::GoneOther | Shape::Letta);
    match status {
        401 | 402 | 413 => Refuse,
        404 | 410 if shape == Shape::GoneItself => Forget,
        404 | 410 | 408 | 409 | 425 | 429 | 500.. => Wait,
        _ if from_letta => Refuse,
        _ => Wait,
    }
}

/// Nothing is forgotten and nothing is dropped because of what stands before Letta.
#[test]
fn every_status_and_shape_is_waited_for_refused_or_forgotten() {
    let to = [None, Some(CONVERSATION)].map(|id| Destination {
        agent: AGENT.parse().unwrap(),
        conversation: id.map_or(Conversation::Default, |id| {
            Conversation::Own(id.parse().unwrap())
        }),
    });
    let run = RUN.parse().unwrap();
    let mut forgotten = 0;
    for (asked, gone) in operations(&to, &run) {
        for status in STATUSES {
            for shape in SHAPES {
                let error = refusal(status, &body(shape, &gone)).into_error(asked);
                let policy = error.kind().policy();
                assert_eq!(
                    policy,
                    expected(status, shape),
                    "{asked} {status} {shape:?}: {error:?}"
                );
                forgotten += usize::from(policy == Forget);
            }
        }
    }
    assert_eq!(
        forgotten,
        6 * 2,
        "404 and 410 of each operation in its own words"
    );
}

/// Whatever says that nothing is there, it says nothing of anything in particular.
#[test]
fn what_every_server_has_is_never_gone() {
    for status in STATUSES {
        for shape in SHAPES {
            let error = error(
                status,
                &body(shape, &format!("Agent with ID {AGENT} not found")),
            );
            assert_ne!(
                error.kind().policy(),
                Forget,
                "{status} {shape:?}: {error:?}"
            );
        }
    }
}

#[test]
fn a_missing_model_is_a_missing_agent_only_by_its_code() {
    let agent: AgentId = AGENT.parse().unwrap();
    let policy = |status, body: &str| {
        refusal(status, body)
            .into_error(RequestTarget::Model(&agent))
            .kind()
            .policy()
    };
    let openai = r#"{"error":{"message":"The model 'nope' does not exist.","type":"invalid_request_error","code":"model_not_found"}}"#;
    assert_eq!(policy(404, openai), Forget);
    assert_eq!(policy(404, "404 page not found"), Wait);
    assert_eq!(policy(404, r#"{"detail":"Not Found"}"#), Wait);
}

/// Whether a server has conversations decides where threads go, so only Letta itself says that it has none.
#[test]
fn only_letta_itself_lacks_a_route() {
    assert!(refusal(404, r#"{"detail":"Not Found"}"#).is_no_route());
    assert!(refusal(405, r#"{"detail":"Method Not Allowed"}"#).is_no_route());
    for other in [
        "",
        "404 page not found",
        "<html>",
        r#"{"message":"Not Found"}"#,
        r#"{"detail":"Agent not found"}"#,
    ] {
        assert!(!refusal(404, other).is_no_route(), "{other}");
    }
}

/// The bodies are those of a V1 server, shortened.
#[test]
fn every_shape_becomes_its_error() {
    let shown = |status, body| format!("{:?}", error(status, body));
    insta::assert_snapshot!(
        shown(422, r#"{"trace_id":"","detail":"[{'type': 'list_type'}]","examples":["x"]}"#), @r#"Refused { status: 422, detail: "[{'type': 'list_type'}]" }"#);
    insta::assert_snapshot!(shown(409, r#"{"detail":"CONFLICT: Cannot send a new message: Another request (run_id=run-9d4f) is currently being processed for this conversation.","run_id":"run-9d4f"}"#), @"Busy { run: Some(run-9d4f) }");
    insta::assert_snapshot!(shown(409, r#"{"detail":"CONFLICT: busy with another active run (run_id=run-1)"}"#), @"Busy { run: Some(run-1) }");
    insta::assert_snapshot!(shown(409, r#"{"detail":{"code":"PENDING_APPROVAL","message":"CONFLICT: The agent is waiting for approval on a tool call.","pending_request_id":"message-1"}}"#), @"ApprovalPending");
    insta::assert_snapshot!(shown(400, r#"{"detail":"Cannot process approval response: No tool call is currently awaiting approval."}"#), @"NotPending");
    insta::assert_snapshot!(shown(400, r#"{"detail":"Invalid tool call IDs. Expected '['call_a']', but received '['call_b']'."}"#), @"NotPending");
    insta::assert_snapshot!(shown(409, r#"{"detail":"A database deadlock was detected. Please retry your request."}"#), @"Busy { run: None }");
    insta::assert_snapshot!(shown(500, r#"{"error":{"type":"llm_error","message":"An error occurred.","detail":"INTERNAL_SERVER_ERROR: x"}}"#), @r#"Model { failure: TurnFailure { code: "LLM_ERROR", detail: "An error occurred.: INTERNAL_SERVER_ERROR: x", kind: Broken } }"#);
    insta::assert_snapshot!(shown(402, r#"{"error":{"type":"llm_insufficient_credits","message":"Insufficient credits","detail":"x"}}"#), @r#"Model { failure: TurnFailure { code: "LLM_INSUFFICIENT_CREDITS", detail: "Insufficient credits: x", kind: Credits } }"#);
    insta::assert_snapshot!(shown(502, "<html>bad gateway</html>"), @r#"ServerError { status: 502, detail: "<html>bad gateway</html>", retry_after: None }"#);
    insta::assert_snapshot!(shown(401, r#"{"detail":"Unauthorized"}"#), @"Unauthorized");
    insta::assert_snapshot!(shown(429, r#"{"error":"limited","reasons":["not-enough-credits"]}"#), @r#"QuotaExceeded { reason: "not-enough-credits" }"#);
    insta::assert_snapshot!(shown(429, r#"{"error":"limited"}"#), @"RateLimited { retry_after: None }");
}

#[test]
fn retry_after_is_read_and_bounded() {
    for (said, expected) in [
        ("7", Some(7.0)),
        ("0.5", Some(0.5)),
        ("999999", Some(3600.0)),
        ("-1", None),
        ("Wed, 1", None),
    ] {
        for status in [429, 503, 404] {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, said.parse().unwrap())]);
            let error =
                ErrorResponse::new(status, &headers, b"{}").into_error(RequestTarget::Server("x"));
            assert_eq!(
                error.kind().retry_after(),
                expected.map(Duration::from_secs_f64),
                "{status} {said}"
            );
        }
    }
}

#[test]
fn a_long_detail_is_cut_between_characters() {
    let body = serde_json::json!({ "detail": "ü".repeat(5000) }).to_string();
    let BackendError::Refused { detail, .. } = error(400, &body) else {
        panic!()
    };
    assert_eq!(detail.chars().count(), DETAIL_CHARS_MAX + 1);
}

#[test]
fn only_letta_itself_can_say_that_it_has_no_background_mode() {
    assert!(refusal(503, r#"{"detail":"Redis is required"}"#).is_no_background());
    assert!(!refusal(503, "<html>no upstream</html>").is_no_background());
}
