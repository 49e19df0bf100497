//! Every sentence that a room can hear, to be read together.

use std::time::Duration;

use insta::assert_snapshot;
use letta_client::{FailurePolicy, MissingResource, TurnFailure};

use super::*;
use crate::{
    journal::PauseRecord,
    matrix::CannotSend,
    time::Millis,
    turns::{budget::Exhausted, rights::AdminsOnly},
};

/// What must never be in a sentence: Letta's own words.
const SECRET: &str = "Traceback: postgres://letta:hunter2@10.0.0.7";

fn failures() -> Vec<BackendError> {
    let (detail, status) = (SECRET.to_owned(), 500);
    let gone = |missing| BackendError::NotFound {
        missing,
        what: SECRET.to_owned(),
    };
    vec![
        BackendError::Unreachable {
            url: SECRET.to_owned(),
            source: SECRET.into(),
        },
        BackendError::Busy { run: None },
        BackendError::ApprovalPending,
        BackendError::NotPending,
        BackendError::Forgotten { sent: false },
        gone(MissingResource::Agent),
        gone(MissingResource::Conversation),
        BackendError::Unauthorized,
        BackendError::RateLimited {
            retry_after: Some(Duration::from_mins(10)),
        },
        BackendError::QuotaExceeded {
            reason: SECRET.to_owned(),
        },
        BackendError::Refused {
            status,
            detail: detail.clone(),
        },
        BackendError::ServerError {
            status,
            detail: detail.clone(),
            retry_after: None,
        },
        BackendError::NotLetta {
            status: 404,
            detail: detail.clone(),
            retry_after: None,
        },
        BackendError::Protocol { detail },
    ]
}

fn failed_inside(kind: FailureKind) -> TurnFailure {
    TurnFailure {
        code: "LLM_ERROR".to_owned(),
        detail: SECRET.to_owned(),
        kind,
    }
}

/// Of agents that are paused, and of prompts that get no answer.
fn about_ends(kinds: &[FailureKind], now: Millis) -> Vec<NoticeText> {
    let eve = ruma::user_id!("@eve:example.org");
    let pauses = kinds.iter().filter(|kind| kind.pauses_agent());
    let mut sentences: Vec<_> = pauses
        .map(|kind| {
            let reason = pause_reason(kind, "LLM_ERROR");
            let pause = PauseRecord {
                agent: "agent-1".parse().expect("an id"),
                reason: reason.sentence,
                code: reason.code,
                since: now,
                until: now.plus(Duration::from_mins(2)),
                tries: 2,
            };
            paused(&pause, now)
        })
        .collect();
    let (silent, failure) = (BackendError::EmptyList, failures().remove(11));
    let spent = [
        exhausted(Exhausted::Sends, None),
        exhausted(Exhausted::Runs, None),
        exhausted(Exhausted::Failures, Some(&failure)),
        exhausted(Exhausted::Failures, Some(&silent)),
        exhausted(Exhausted::Restarts, None),
        exhausted(Exhausted::Time, None),
        agent_gone(true),
        silenced(eve, &CannotSend::NotInRoom),
        silenced(eve, &CannotSend::Banned),
        silenced(
            eve,
            &CannotSend::Muted {
                power: 0,
                needed: 50,
            },
        ),
        silenced(
            eve,
            &CannotSend::Closed {
                successor: "!new:x".to_owned(),
            },
        ),
    ];
    let refusals = failures().into_iter().map(|failure| refused(&failure));
    sentences.extend(
        spent
            .into_iter()
            .chain(refusals)
            .map(|reason| prompts_set_aside(&reason, 3)),
    );
    sentences
}

fn sentences() -> Vec<NoticeText> {
    let eve = ruma::user_id!("@eve:example.org");
    let now = Millis(12 * 3_600_000);
    let mut sentences = vec![
        empty_answer(),
        stopped(),
        max_steps(),
        needs_approval(),
        waits_for_decision(),
        calls_dropped(&["launch".to_owned()]),
        waiting_on("LETTA_BUSY"),
        not_yours_to_decide(eve),
        not_yours_to_approve(
            eve,
            &Approvers::AdminsOnly(AdminsOnly::LevelTooLow {
                asker: eve.to_owned(),
                level: crate::config::Level::User,
            }),
        ),
        too_long_to_approve(),
        missed(),
        queue_full(100),
        thread_in_upgraded_room(eve, "!new:x"),
        encrypted(false),
        encrypted(true),
        no_answer_yet(),
        provider_retried(&FailureKind::Broken, Duration::from_secs(4), now),
        provider_retried(
            &FailureKind::RateLimited { retry_after: None },
            Duration::from_secs(40),
            now,
        ),
        connection_lost(),
        connection_back(Duration::from_secs(7)),
        waited("LETTA_SILENT", Duration::from_millis(61_001)),
        waited_in_vain("LETTA_SILENT", Duration::from_secs(7)),
        rate_limited(eve, 20, Duration::from_secs(42)),
    ];
    let kinds = [
        FailureKind::Broken,
        FailureKind::Refused,
        FailureKind::ContextOverflow,
        FailureKind::Credits,
        FailureKind::Unauthorized,
        FailureKind::RateLimited { retry_after: None },
    ];
    sentences.extend(
        kinds
            .iter()
            .map(|kind| turn_failed(&failed_inside(kind.clone()))),
    );
    sentences.extend(about_ends(&kinds, now));
    let mut waits = failures();
    waits.retain(|failure| failure.kind().policy() == FailurePolicy::Wait);
    sentences.extend(
        waits
            .iter()
            .map(|failure| waiting(failure, Duration::from_mins(10), now)),
    );
    sentences
}

/// What people read, and the code in braces if they do not read it.
fn shown(text: &NoticeText) -> String {
    if text.for_admin {
        text.to_string()
    } else {
        format!("{text} {{{}}}", text.code)
    }
}

#[test]
fn notice_texts_are_snapshotted() {
    let shown: Vec<_> = sentences().iter().map(shown).collect();
    assert_snapshot!(shown.join("\n"), @"
    The agent ended its turn without an answer. Ask again or in other words. {EMPTY_ANSWER}
    Stopped. {STOPPED}
    The agent reached its limit of steps before it was done. Ask it to go on. {MAX_STEPS}
    The agent wants to use a tool that needs an approval, but Letta does not say which tool. Decide it in Letta. {APPROVAL_NEEDED}
    The agent waits for a decision on a tool. Your message is delivered after that. {APPROVAL_NEEDED}
    The agent called more tools at once than Letta keeps of one answer. Not run: launch. The agent can call them again. {CALLS_DROPPED}
    Your message still waits and is tried again, for at most 1day. `!letta stop` gives it up. {LETTA_BUSY}
    Only who asked the agent, or an admin, can decide that, @eve:example.org. {NOT_YOURS_TO_DECIDE}
    That is not yours to approve, @eve:example.org. Only an admin can approve it: approving needs the level `user` (`turns.approve_level`), which @eve:example.org does not have. {NOT_YOURS_TO_DECIDE}
    What cannot be shown in full cannot be approved here, only denied. {APPROVAL_TOO_LONG}
    The end of this was missed. Letta's own app shows it. {TURN_MISSED}
    100 messages wait for this agent already, so this one was not taken. Send it again later. {QUEUE_FULL}
    This room was replaced, and a thread cannot go on in another room. @eve:example.org is in the new one, `!new:x`: begin a thread there. {ROOM_CLOSED}
    This room is encrypted, and agents cannot read encrypted messages yet. Talk to them in a room without encryption. {ENCRYPTED}
    This room is encrypted, and agents cannot read encrypted messages yet. React with ✅ to this message, and I invite you to a room without encryption. {ENCRYPTED}
    Letta has not answered yet. Your message waits for it; `!letta stop` gives it up. {LETTA_SILENT}
    The provider of the agent's model does not work at the moment. Letta tries it again and again; `!letta stop` gives your message up. {LLM_RETRY}
    The provider of the agent's model asks for fewer requests. Letta tries it again at 12:00 UTC (in 40s); `!letta stop` gives your message up. {LLM_RETRY}
    The connection to Letta is lost while the agent answers. The bridge tries to get it back; `!letta stop` gives the answer up. {LETTA_UNREACHABLE}
    The connection to Letta was lost for 7s. {LETTA_UNREACHABLE}
    Your message has waited 1m 2s and is delivered now. {LETTA_SILENT}
    Your message has waited 7s and does not wait any more. {LETTA_SILENT}
    @eve:example.org has set 20 answers going here within a minute. What comes now waits up to 42s. {TOO_MANY_TURNS}
    The agent could not answer. Try again in a moment. {LLM_ERROR}
    The agent could not answer. An admin finds more in the log. [LLM_ERROR]
    The agent could not answer. This conversation, or this message, is too long for the agent's model. Begin a thread, or shorten the message. {LLM_ERROR}
    The agent could not answer. The account that pays for this agent has no credits left, or has used up its quota. An admin has to change that. [LLM_ERROR]
    The agent could not answer. The provider of the agent's model refuses the key that Letta has for it. An admin has to change that. [LLM_ERROR]
    The agent could not answer. The provider of the agent's model asks for fewer requests. Try again later. {LLM_ERROR}
    The account that pays for this agent has no credits left, or has used up its quota. The agent is paused. Your message waits and is tried again at 12:02 UTC (in 2m), or as soon as an admin says `!letta resume`. [LLM_ERROR]
    The provider of the agent's model refuses the key that Letta has for it. The agent is paused. Your message waits and is tried again at 12:02 UTC (in 2m), or as soon as an admin says `!letta resume`. [LLM_ERROR]
    The provider of the agent's model asks for fewer requests. The agent is paused. Your message waits and is tried again at 12:02 UTC (in 2m), or as soon as an admin says `!letta resume`. [LLM_ERROR]
    Letta has taken this message 4 times and has lost the answer each time. Your message is set aside; `!letta retry 3` tries it again. [RUNS_LOST]
    The agent has begun 100 runs for this and is not done. Your message is set aside; `!letta retry 3` tries it again. {RUNS_EXHAUSTED}
    Letta fails with this message; 10 times is enough. Your message is set aside; `!letta retry 3` tries it again. [LETTA_ERROR]
    Letta has failed 10 times in a row. Your message is set aside; `!letta retry 3` tries it again. [LETTA_EMPTY_LIST]
    The bridge was restarted 20 times before this was answered. Your message is set aside; `!letta retry 3` tries it again. [RESTARTS_EXHAUSTED]
    This message has waited 1day. Your message is set aside; `!letta retry 3` tries it again. {WAIT_EXHAUSTED}
    The agent was removed from Letta while it answered. Your message is set aside; `!letta retry 3` tries it again. {AGENT_GONE}
    @eve:example.org is not in this room, so it is not asked. Invite it, and it comes back. Your message is set aside; `!letta retry 3` tries it again. {AGENT_NOT_IN_ROOM}
    @eve:example.org is banned from this room, so it is not asked. Lift the ban and invite it, and it comes back. Your message is set aside; `!letta retry 3` tries it again. {AGENT_BANNED}
    @eve:example.org may not write in this room (power level 0, needed 50), so it is not asked. Raise its power level. Your message is set aside; `!letta retry 3` tries it again. {AGENT_MUTED}
    This room was closed, so @eve:example.org is not asked here. Invite it to the new room, `!new:x`. Your message is set aside; `!letta retry 3` tries it again. {ROOM_CLOSED}
    Letta broke off again and again before the agent was done. Your message is set aside; `!letta retry 3` tries it again. [LETTA_UNREACHABLE]
    Letta broke off again and again before the agent was done. Your message is set aside; `!letta retry 3` tries it again. {LETTA_BUSY}
    The agent waits for a decision about an earlier tool call. Decide it in Letta. Your message is set aside; `!letta retry 3` tries it again. {LETTA_APPROVAL_PENDING}
    The tool call that waited was decided elsewhere. Ask the agent to go on. Your message is set aside; `!letta retry 3` tries it again. {LETTA_NOT_PENDING}
    Letta has forgotten what the agent wanted to do. Your message is set aside; `!letta retry 3` tries it again. {LETTA_FORGOTTEN}
    Letta no longer has this agent. Your message is set aside; `!letta retry 3` tries it again. {LETTA_NOT_FOUND}
    Letta has lost what was said here. Your message is set aside; `!letta retry 3` tries it again. {LETTA_NOT_FOUND}
    Letta refuses the bridge's key. An admin has to change `letta.api_key`. Your message is set aside; `!letta retry 3` tries it again. [LETTA_UNAUTHORIZED]
    Letta broke off again and again before the agent was done. Your message is set aside; `!letta retry 3` tries it again. {LETTA_RATE_LIMITED}
    The Letta account has reached its limit. An admin has to change that. Your message is set aside; `!letta retry 3` tries it again. [LETTA_QUOTA]
    Letta refused this message. An admin finds more in the log. Your message is set aside; `!letta retry 3` tries it again. [LETTA_REFUSED]
    Letta broke off again and again before the agent was done. Your message is set aside; `!letta retry 3` tries it again. {LETTA_ERROR}
    Letta broke off again and again before the agent was done. Your message is set aside; `!letta retry 3` tries it again. [LETTA_UNAVAILABLE]
    Letta answered in a way that the bridge does not understand. An admin finds more in the log. Your message is set aside; `!letta retry 3` tries it again. [LETTA_PROTOCOL]
    Letta cannot be reached. Your message waits and is delivered as soon as that changes, for at most 1day. `!letta stop` gives it up. [LETTA_UNREACHABLE]
    The agent is busy elsewhere in this conversation. Your message waits and is delivered as soon as that changes, for at most 1day. `!letta stop` gives it up. {LETTA_BUSY}
    The agent waits for a decision about an earlier tool call. Your message waits and is delivered as soon as that changes, for at most 1day. `!letta stop` gives it up. {LETTA_APPROVAL_PENDING}
    Letta is asked too much at the moment. Your message waits and is tried again at 12:10 UTC (in 10m); `!letta stop` gives it up. {LETTA_RATE_LIMITED}
    Letta does not work at the moment. Your message waits and is delivered as soon as that changes, for at most 1day. `!letta stop` gives it up. {LETTA_ERROR}
    Something else answers in Letta's place. Your message waits and is delivered as soon as that changes, for at most 1day. `!letta stop` gives it up. [LETTA_UNAVAILABLE]
    ");
}

#[test]
fn every_notice_has_a_code_and_holds_nothing_of_the_inside() {
    for text in sentences() {
        let shown = text.to_string();
        let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        assert!(
            !text.code.is_empty() && text.code.chars().all(plain),
            "{text:?}"
        );
        assert!(text.sentence.ends_with('.'), "{shown}");
        assert!(shown.len() < 260, "{shown}");
        for secret in SECRET.split_whitespace() {
            assert!(!shown.contains(secret), "{shown}");
        }
        // People see the code where the sentence sends them to an admin, and nowhere else.
        let code = format!("[{}]", text.code);
        assert_eq!(shown.ends_with(&code), text.for_admin, "{shown}");
        let names_an_admin = ["An admin has to", "An admin finds"];
        if names_an_admin.iter().any(|words| shown.contains(words)) {
            assert!(text.for_admin, "{shown}");
        }
    }
}

#[test]
fn notice_that_an_older_journal_has_is_still_said() {
    let old: NoticeText = serde_json::from_str("\"Stopped. [STOPPED]\"").expect("a text");
    assert_eq!(old.to_string(), "Stopped. [STOPPED]");
    let new = serde_json::to_string(&stopped()).expect("a notice");
    assert_eq!(
        serde_json::from_str::<NoticeText>(&new).expect("it"),
        stopped()
    );
}

#[test]
fn stored_reasons_hold_foreign_text_as_text_only() {
    let eve = ruma::user_id!("@eve:example.org");
    for successor in [
        "![click](https://evil.example)",
        "!x`](https://evil.example)[`:y",
        "!a\n# b\u{202e}c",
        "",
        &"!".repeat(100_000),
    ] {
        let closed = CannotSend::Closed {
            successor: successor.to_owned(),
        };
        let reason = silenced(eve, &closed).sentence;
        assert!(reason.chars().count() < 600, "{successor}");
        assert!(!reason.contains('\n') && !reason.contains('\u{202e}'));
        let shown = crate::matrix::render::render(&reason);
        let html = shown.html.unwrap_or_default();
        assert!(
            !html
                .replace("href=\"https://matrix.to/#/@eve:example.org\"", "")
                .contains("href"),
            "{html}"
        );
    }
    // Whatever Letta or a proxy says, none of it is in a reason that is stored.
    for failure in failures() {
        let code = failure.code();
        let reasons = [
            refused(&failure),
            exhausted(Exhausted::Failures, Some(&failure)),
            pause_reason(&failure.kind(), code),
        ];
        for NoticeText {
            sentence: reason,
            code,
            ..
        } in reasons
        {
            assert!(
                !reason.contains(SECRET) && !code.contains(SECRET),
                "{reason}"
            );
            let is_plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
            assert!(code.chars().all(is_plain), "{code}");
        }
    }
}
