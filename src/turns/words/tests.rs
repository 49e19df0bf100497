//! Every sentence that a room can hear, to be read together.

use std::time::Duration;

use insta::assert_snapshot;
use letta_client::Advice;

use super::*;
use crate::turns::rights::AdminsOnly;

/// What must never be in a sentence: Letta's own words.
const SECRET: &str = "Traceback: postgres://letta:hunter2@10.0.0.7";

fn failures() -> Vec<BackendError> {
    let (secret, status) = (SECRET.to_owned(), 500);
    vec![
        BackendError::Unreachable {
            url: secret.clone(),
            source: secret.clone().into(),
        },
        BackendError::Silent {
            after: Duration::from_mins(1),
        },
        BackendError::Busy { run: None },
        BackendError::ApprovalPending,
        BackendError::NotFound {
            missing: letta_client::Missing::Agent,
            what: secret.clone(),
        },
        BackendError::Unauthorized,
        BackendError::RateLimited { retry_after: None },
        BackendError::QuotaExceeded {
            reason: secret.clone(),
        },
        BackendError::Refused {
            status,
            detail: secret.clone(),
        },
        BackendError::ServerError {
            status,
            detail: secret.clone(),
            retry_after: None,
        },
        BackendError::NotLetta {
            status: 404,
            detail: secret.clone(),
            retry_after: None,
        },
        BackendError::Protocol { detail: secret },
    ]
}

fn sentences() -> Vec<String> {
    let mut sentences = vec![
        empty_answer(),
        stopped(),
        max_steps(),
        needs_approval(),
        waits_for_decision(),
        not_yours_to_decide(ruma::user_id!("@eve:example.org")),
        not_yours_to_approve(
            ruma::user_id!("@eve:example.org"),
            &Approvers::AdminsOnly(AdminsOnly::LevelTooLow {
                asker: ruma::owned_user_id!("@eve:example.org"),
                level: crate::config::Level::User,
            }),
        ),
        too_long_to_approve(),
        missed(),
        turn_failed("LLM_RATE_LIMIT", true),
        turn_failed("LLM_AUTHENTICATION", false),
        queue_full(100),
        encrypted(),
    ];
    sentences.extend(failures().iter().map(refused));
    let mut waits = failures();
    waits.retain(|failure| matches!(failure.advice(), Advice::Retry | Advice::Wait));
    waits.retain(|failure| !matches!(failure, BackendError::ApprovalPending));
    sentences.extend(waits.iter().map(waiting));
    sentences
}

#[test]
fn the_bridge_speaks_plainly() {
    assert_snapshot!(sentences().join("\n"), @"
    The agent ended its turn without an answer. Ask again or in other words. [EMPTY_ANSWER]
    Stopped. [STOPPED]
    The agent reached its limit of steps before it was done. Ask it to go on. [MAX_STEPS]
    The agent wants to use a tool that needs an approval, but Letta does not say which tool. Decide it in Letta. [APPROVAL_NEEDED]
    The agent waits for a decision on a tool. Your message is delivered after that. [APPROVAL_NEEDED]
    Only who asked the agent, or an admin, can decide that, @eve:example.org. [NOT_YOURS_TO_DECIDE]
    That is not yours to approve, @eve:example.org. Only an admin can approve it: approving needs the level `user` (`turns.approve_level`), which @eve:example.org does not have. [NOT_YOURS_TO_DECIDE]
    What cannot be shown in full cannot be approved here, only denied. [APPROVAL_TOO_LONG]
    The end of this was missed. Letta's own app shows it. [TURN_MISSED]
    The agent could not answer. Try again in a moment. [LLM_RATE_LIMIT]
    The agent could not answer. An admin finds more in the log. [LLM_AUTHENTICATION]
    100 messages wait for this agent already, so this one was not taken. Send it again later. [QUEUE_FULL]
    This room is encrypted, and agents cannot read encrypted messages yet. Talk to them in a room without encryption. [ENCRYPTED]
    Letta broke off again and again before the agent was done. Try again in a moment. [LETTA_UNREACHABLE]
    Letta broke off again and again before the agent was done. Try again in a moment. [LETTA_SILENT]
    Letta broke off again and again before the agent was done. Try again in a moment. [LETTA_BUSY]
    The agent waits for a decision about an earlier tool call. Decide it in Letta, then write again. [LETTA_APPROVAL_PENDING]
    Letta does not know this agent any more. [LETTA_NOT_FOUND]
    Letta refuses the bridge's key. An admin has to mend `letta.api_key`, then write again. [LETTA_UNAUTHORIZED]
    Letta broke off again and again before the agent was done. Try again in a moment. [LETTA_RATE_LIMITED]
    The Letta account has reached its limit. An admin has to mend that, then write again. [LETTA_QUOTA]
    Letta refused this message. An admin finds more in the log. [LETTA_REFUSED]
    Letta broke off again and again before the agent was done. Try again in a moment. [LETTA_ERROR]
    Letta broke off again and again before the agent was done. Try again in a moment. [LETTA_UNAVAILABLE]
    Letta answered in a way that the bridge does not understand. An admin finds more in the log. [LETTA_PROTOCOL]
    Letta cannot be reached. Your message waits and is delivered as soon as that changes. [LETTA_UNREACHABLE]
    Letta cannot be reached. Your message waits and is delivered as soon as that changes. [LETTA_SILENT]
    The agent is busy elsewhere in this conversation. Your message waits and is delivered as soon as that changes. [LETTA_BUSY]
    Letta is asked too much at the moment. Your message waits and is delivered as soon as that changes. [LETTA_RATE_LIMITED]
    Letta does not work at the moment. Your message waits and is delivered as soon as that changes. [LETTA_ERROR]
    Something else answers in Letta's place. Your message waits and is delivered as soon as that changes. [LETTA_UNAVAILABLE]
    ");
}

#[test]
fn every_sentence_ends_with_a_code_and_holds_nothing_of_the_inside() {
    for sentence in sentences() {
        let (words, code) = sentence.rsplit_once(" [").expect("a code");
        let code = code.strip_suffix(']').expect("the code is last");
        let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        assert!(!code.is_empty() && code.chars().all(plain), "{sentence}");
        assert!(words.ends_with('.'), "{sentence}");
        assert!(sentence.len() < 220, "{sentence}");
        for secret in SECRET.split_whitespace() {
            assert!(!sentence.contains(secret), "{sentence}");
        }
    }
}
