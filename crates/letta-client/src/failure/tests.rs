//! What servers say in streams, and what kind of failure it is.

use super::*;

/// What real servers say (the first of each kind captured from a V1 server or an App Server, shortened).
const SAID: &[(&str, &str, Option<u16>, &str)] = &[
    (
        "llm_error",
        "An error occurred with the LLM request.: INTERNAL_SERVER_ERROR: OpenAI API error: Error code: 500 - {'error': {}}",
        None,
        "Overloaded { retry_after: None }",
    ),
    (
        "llm_rate_limit",
        "Rate limit exceeded for LLM model provider.: RATE_LIMIT_EXCEEDED: Rate limited by OpenAI: Error code: 429 - {}",
        None,
        "RateLimited { retry_after: None }",
    ),
    (
        "llm_rate_limit",
        "Rate limited by OpenAI: Error code: 429 - Please try again in 20s. Visit https://x",
        None,
        "RateLimited { retry_after: Some(20s) }",
    ),
    (
        "llm_rate_limit",
        "Rate limited by OpenAI: Error code: 429 - You exceeded your current quota, please check your plan",
        None,
        "Credits",
    ),
    (
        "llm_authentication",
        "Authentication failed with OpenAI: Error code: 401 - {}",
        None,
        "Unauthorized",
    ),
    (
        "llm_error",
        "Error code: 402 - {'error': {'message': 'fake error 402'}}",
        None,
        "Credits",
    ),
    (
        "internal_error",
        "An error occurred during agent execution.: INTERNAL_SERVER_ERROR: peer closed connection",
        None,
        "Broken",
    ),
    (
        "internal_error",
        "CONTEXT_WINDOW_EXCEEDED: Bad request to OpenAI (context window exceeded): This model's maximum context length is 8192 tokens",
        None,
        "ContextOverflow",
    ),
    (
        "llm_error",
        "Error code: 400 - {'error': {'message': 'Invalid content type. image_url is only supported by certain models.'}}",
        None,
        "NoPictures",
    ),
    (
        "llm_not_found",
        "Error code: 404 - {'error': {'message': 'No endpoints found that support image input', 'code': 404}}",
        None,
        "NoPictures",
    ),
    (
        "llm_error",
        "500 image input is not supported - hint: if this is unexpected, you may need to provide the mmproj",
        Some(500),
        "NoPictures",
    ),
    (
        "context_window_overflow_in_system_prompt",
        "Compaction failed because the system prompt is too large",
        None,
        "ContextOverflow",
    ),
    ("insufficient_credits", "", None, "Credits"),
    (
        "internal_error",
        "CONFLICT: Cannot send a new message: The agent is waiting for approval on a tool call.",
        None,
        "ApprovalPending",
    ),
    (
        "internal_error",
        "Cannot process approval response: No tool call is currently awaiting approval.",
        None,
        "NotPending",
    ),
    (
        "internal_error",
        "Invalid tool call IDs. Expected '['call_a']', but received '['call_b']'.",
        None,
        "NotPending",
    ),
    (
        "internal_error",
        "CONFLICT: Another request (run_id=run-1) is currently being processed for this conversation.",
        None,
        "Busy",
    ),
    (
        "local_backend_error",
        "401: {\"message\":\"fake error 401\",\"code\":\"fake_401\"}",
        None,
        "Unauthorized",
    ),
    (
        "local_backend_error",
        "402: {\"message\":\"fake error 402\"}",
        None,
        "Credits",
    ),
    (
        "local_backend_error",
        "429: {\"message\":\"slow down\"}",
        None,
        "RateLimited { retry_after: None }",
    ),
    (
        "local_backend_error",
        "500: {\"message\":\"fake error 500\"}",
        None,
        "Overloaded { retry_after: None }",
    ),
    (
        "local_backend_error",
        "400: {\"message\":\"prompt is too long: 210000 tokens > 200000 maximum\"}",
        None,
        "ContextOverflow",
    ),
    (
        "local_backend_error",
        "400: {\"message\":\"the script says so\"}",
        None,
        "Refused",
    ),
    ("error", "the provider said no", Some(402), "Credits"),
    (
        "error",
        "the provider said no",
        Some(429),
        "RateLimited { retry_after: None }",
    ),
    (
        "error",
        "the provider said no",
        Some(529),
        "Overloaded { retry_after: None }",
    ),
    ("llm_api_error", "", None, "Broken"),
    ("stream_incomplete", "", None, "Broken"),
    ("max_tokens_exceeded", "", None, "Refused"),
    ("something_new", "", None, "Refused"),
];

#[test]
fn a_stream_error_has_the_kind_that_its_words_and_status_say() {
    for (word, words, status, expected) in SAID {
        let kind = FailureKind::of_stream(word, words, *status);
        assert_eq!(format!("{kind:?}"), *expected, "{word}: {words}");
    }
}

#[test]
fn a_wait_is_read_in_every_unit_and_bounded() {
    for (words, expected) in [
        ("try again in 20s", Some(20.0)),
        ("Please retry after 30 seconds", Some(30.0)),
        ("retry after 1.5 minutes", Some(90.0)),
        ("try again in 250ms", Some(0.25)),
        ("retry_after: 7", Some(7.0)),
        ("try again in 99 hours", Some(3600.0)),
        ("try again later", None),
    ] {
        let read = retry_after_in(words).map(|wait| wait.as_secs_f64());
        assert_eq!(read, expected, "{words}");
    }
}

/// A number in a text is not a status.
#[test]
fn a_status_is_read_only_where_one_stands() {
    assert_eq!(status_in("401: {}"), Some(401));
    assert_eq!(
        status_in("OpenAI API error: Error code: 503 - x"),
        Some(503)
    );
    assert_eq!(status_in("the limit is 500 tokens"), None);
    assert_eq!(status_in("5001: x"), None);
}
