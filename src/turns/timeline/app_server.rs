//! What the rooms show of a transcript of a real App Server: its turns one after the other, as the
//! queue of a conversation has them, and beside them what was asked.

use std::{fmt::Write as _, time::Duration};

use letta_client::{
    Agent, BackendError, Decision, Destination, Prompt, StopReason, TurnEvent,
    app_server::transcript::{Cause, RecordedTurn, Replay},
};
use ruma::{OwnedEventId, owned_user_id};

use super::{
    ApprovalDecision, Item, Pace, Room, SimulatedView, TurnId, TurnRecord, agent, asked, place,
};
use crate::{journal::DecidedBy, time::Millis, turns::notice_texts};

mod scenarios;

/// The pace of the captures' slow answers.
const CAPTURED: Pace = Pace {
    first: 400,
    between: 250,
    homeserver: 50,
};
/// From one turn to the next question.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a person takes to decide, in seconds.
const DECIDES_AFTER: u64 = 5;
/// How long nobody takes to, in seconds.
const NOBODY_DECIDES: u64 = 600;

/// A turn: who began it, and what was told of it.
struct Story {
    at: Destination,
    began: Began,
    items: Vec<Item>,
}

enum Began {
    Asked(Vec<Prompt>),
    Elsewhere { key: String, prompt: Option<String> },
}

/// Whether an approval message is the last of it.
fn asks(items: &[Item]) -> bool {
    let of_it = |item: &Item| matches!(item, Item::Says(Ok(TurnEvent::Approval(_))));
    items.iter().rev().take(2).any(of_it)
}

/// The turns of a transcript, in their order.
fn stories(played: Replay) -> Vec<Story> {
    let mut stories: Vec<Story> = Vec::new();
    for RecordedTurn { at, cause, items } in played.turns {
        let items = items.into_iter().map(said);
        let last = stories.iter_mut().rev().find(|story| story.at == at);
        match (cause, last) {
            (Cause::Asked(prompts), _) => stories.push(Story {
                at,
                began: Began::Asked(prompts),
                items: items.collect(),
            }),
            (Cause::ExternalTurnStarted { key, .. }, Some(story))
                if asks(&story.items) && key.contains('~') =>
            {
                let decision = ApprovalDecision {
                    approve: false,
                    reason: None,
                    by: DecidedBy::External(key.parse().expect("a run")),
                };
                story.items.push(Item::Decides(decision, DECIDES_AFTER));
                story.items.extend(items);
            }
            (Cause::ExternalTurnStarted { key, prompt }, _) => stories.push(Story {
                at,
                began: Began::Elsewhere { key, prompt },
                items: items.collect(),
            }),
            (Cause::AskedAgain, Some(story)) => {
                // Who asks again has not heard the end.
                story.items.pop();
                story.items.push(Item::Breaks);
                story.items.extend(items);
            }
            (Cause::Decided(_, decision), Some(story)) => {
                let decision = approval_decision(&story.began, decision);
                story.items.push(Item::Decides(decision, DECIDES_AFTER));
                story.items.extend(items);
            }
            (cause, None) => panic!("{cause:?} of no turn"),
        }
    }
    for story in stories.iter_mut().filter(|story| asks(&story.items)) {
        if played.stopped.contains(&story.at) {
            story.items.extend(stopped());
        } else if !played.waiting.contains(&story.at) {
            story.items.extend(nobody_decided());
        }
    }
    stories
}

fn said(item: Result<TurnEvent, BackendError>) -> Item {
    match item {
        // It is asked again in a copy of its conversation.
        Err(BackendError::Moved { .. }) => Item::Breaks,
        item => Item::Says(item),
    }
}

fn approval_decision(began: &Began, decision: Decision) -> ApprovalDecision {
    let by = match began {
        Began::Asked(_) => owned_user_id!("@ann:example.org"),
        Began::Elsewhere { .. } => owned_user_id!("@admin:example.org"),
    };
    ApprovalDecision {
        approve: decision.approve,
        reason: decision.reason.filter(|_| !decision.approve),
        by: DecidedBy::Person(by),
    }
}

/// Who stops a turn that waits denies what it waits for.
fn stopped() -> [Item; 2] {
    let decision = ApprovalDecision::stopped(owned_user_id!("@ann:example.org"));
    [
        Item::Decides(decision, DECIDES_AFTER),
        Item::Says(Ok(TurnEvent::Finished(StopReason::Cancelled))),
    ]
}

/// Letta no longer has the approval request, and nobody decides: what follows is asked again, and is no
/// part of the capture.
fn nobody_decided() -> [Item; 2] {
    let decision = ApprovalDecision {
        approve: false,
        reason: None,
        by: DecidedBy::Timeout,
    };
    [Item::Decides(decision, NOBODY_DECIDES), Item::Breaks]
}

/// What every room has seen at the end of a transcript.
fn rooms(transcript: &str) -> String {
    let played = letta_client::app_server::transcript::play(transcript).expect("a transcript");
    let mut out = String::new();
    for list in &played.lists {
        writeln!(out, "agents: {}", names(list)).expect("text");
    }
    let mut stories = stories(played);
    while let Some(first) = stories.first() {
        let at = first.at.clone();
        let here: Vec<_> = stories.extract_if(.., |story| story.at == at).collect();
        if !stories.is_empty() || out.contains("room of") {
            writeln!(out, "room of {}:", at.agent).expect("text");
        }
        out.push_str(&tell(here));
    }
    out
}

fn names(list: &[Agent]) -> String {
    let name = |agent: &Agent| match &agent.description {
        Some(description) => format!("{} ({description})", agent.name),
        None => agent.name.clone(),
    };
    list.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// What one room has seen of its turns.
fn tell(stories: Vec<Story>) -> String {
    let (mut room, mut now) = (Room::default(), Duration::ZERO);
    let (mut questions, mut open) = (0, 0);
    for Story { began, items, .. } in stories {
        let (turn, heard) = match began {
            Began::Asked(prompts) => (ask(&mut room, now, &prompts, &mut questions), None),
            Began::Elsewhere { key, prompt } => {
                let id = TurnId::named(&["overheard", agent().as_str(), &key]);
                let turn = TurnRecord::external(id, place(), Millis(0));
                (
                    turn,
                    Some(notice_texts::external_turn_started(prompt.as_deref())),
                )
            }
        };
        let mut view = SimulatedView::begin(CAPTURED, turn, room, now);
        if let Some(notice) = heard {
            view.notice("elsewhere", &notice);
        }
        let (shown, done, is_over) = view.tell(items);
        (room, now) = (shown, done + PAUSE);
        open += usize::from(!is_over);
    }
    let mut out = room.render();
    if open > 0 {
        writeln!(
            out,
            "(not over when the capture ends: {open} of these turns)"
        )
        .expect("text");
    }
    out
}

/// The questions are in the room.
fn ask(room: &mut Room, now: Duration, prompts: &[Prompt], before: &mut u32) -> TurnRecord {
    let mut questions = Vec::new();
    for prompt in prompts {
        *before += 1;
        let event: OwnedEventId = format!("${before}").try_into().expect("an event id");
        room.hear(now, "@ann", &event, &prompt.text());
        questions.push((event, prompt.text()));
    }
    asked(&questions)
}
