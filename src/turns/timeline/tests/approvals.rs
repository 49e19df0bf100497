//! Golden timelines of what a person has to decide before the agent goes on, over REST.

use insta::assert_snapshot;
use ruma::OwnedUserId;

use super::*;
use crate::journal::DecidedBy;

fn person() -> OwnedUserId {
    owned_user_id!("@ann:example.org")
}

fn approval_decision(approve: bool, by: DecidedBy) -> ApprovalDecision {
    ApprovalDecision {
        approve,
        reason: None,
        by,
    }
}

/// A request, what is decided on it after a while, and how the agent goes on.
fn decided(request: &str, decision: ApprovalDecision, after: &str) -> Vec<Item> {
    let mut story = items(request);
    story.push(Item::Decides(decision, 20));
    story.extend(items(after));
    story
}

#[test]
fn an_approval_is_asked_for_with_both_choices() {
    assert_snapshot!(show(transcript!("approval"), SLOW), @"3.15s @agent to $asked: **May I use `memory_insert`?**⏎⏎- `l… (317 characters) … {APPROVAL_NEEDED}");
    let room = play(items(transcript!("approval_parallel")), SLOW);
    assert_eq!(
        (room.messages.len(), room.choices),
        (1, 2),
        "one card for all calls"
    );
    assert_snapshot!(room.messages[0].text, @r"
    **May I use `memory_insert` and `conversation_search`?**

    `memory_insert`

    - `label`: `human`
    - `new_string`: `p1`

    `conversation_search`

    - `query`: `p2`

    React with ✅ to run it or with ❌ to deny it, or write `!letta approve` or `!letta deny`. Only @ann:example.org or an admin can approve it, and approving needs the level `user`. Without an answer it is denied in 10m. {APPROVAL_NEEDED}
    ");
}

#[test]
fn what_is_said_after_a_decision_is_a_message_of_its_own() {
    let approved = approval_decision(true, DecidedBy::Person(person()));
    let story = decided(transcript!("approval"), approved, transcript!("tokens"));
    assert_snapshot!(timeline(story, SLOW), @r"
    3.15s @agent to $asked, 1 edit: ✅ **Approved** by @ann:example.org⏎⏎… (103 characters) …`: `approved fact`
      3.15s **May I use `memory_insert`?**⏎⏎- `l… (317 characters) … {APPROVAL_NEEDED}
      23.90s ✅ **Approved** by @ann:example.org⏎⏎… (103 characters) …`: `approved fact`
    25.70s @agent to $asked, 3 edits: one two three four five
      25.70s one
      26.70s one two
      27.80s one two three
      29.01s one two three four five
    ");
    let late = approval_decision(false, DecidedBy::Timeout);
    let story = decided(transcript!("approval"), late, transcript!("steps"));
    assert_snapshot!(timeline(story, QUICK), @r"
    0.47s @agent to $asked, 1 edit: ⌛ **Denied**, because nobody decided… (113 characters) …`: `approved fact`
      0.47s **May I use `memory_insert`?**⏎⏎- `l… (317 characters) … {APPROVAL_NEEDED}
      20.46s ⌛ **Denied**, because nobody decided… (113 characters) …`: `approved fact`
    20.55s @agent to $asked: one two three
    ");
}

#[test]
fn what_is_said_before_a_question_is_complete_before_it() {
    let mut story = items(transcript!("tokens"));
    story.pop();
    story.extend(items(transcript!("approval")));
    story.push(Item::Decides(
        approval_decision(true, DecidedBy::Person(person())),
        20,
    ));
    story.extend(items(transcript!("approval_parallel")));
    assert_snapshot!(timeline(story, SLOW), @r"
    2.50s @agent to $asked, 3 edits: one two three four five
      2.50s one
      3.50s one two
      4.60s one two three
      5.81s one two three four five
    7.95s @agent to $asked, 1 edit: ✅ **Approved** by @ann:example.org⏎⏎… (103 characters) …`: `approved fact`
      7.95s **May I use `memory_insert`?**⏎⏎- `l… (317 characters) … {APPROVAL_NEEDED}
      28.70s ✅ **Approved** by @ann:example.org⏎⏎… (103 characters) …`: `approved fact`
    31.15s @agent to $asked: **May I use `memory_insert` and `con… (389 characters) … {APPROVAL_NEEDED}
    ");
}

#[test]
fn an_agent_that_waits_for_an_approval_takes_nothing_else() {
    assert_snapshot!(show(transcript!("approval_pending"), QUICK), @"0.45s @agent notice to $asked: The agent waits for a decision about an earlier tool call. Decide it in Letta. {LETTA_APPROVAL_PENDING}");
}

#[test]
fn an_approved_tool_runs_and_is_spoken_of() {
    let approved = approval_decision(true, DecidedBy::Person(person()));
    let after = transcript!("approval_approved");
    let story = decided(transcript!("approval"), approved, after);
    assert_snapshot!(timeline(story, SLOW), @r#"
    3.15s @agent to $asked, 1 edit: ✅ **Approved** by @ann:example.org⏎⏎… (103 characters) …`: `approved fact`
      3.15s **May I use `memory_insert`?**⏎⏎- `l… (317 characters) … {APPROVAL_NEEDED}
      23.90s ✅ **Approved** by @ann:example.org⏎⏎… (103 characters) …`: `approved fact`
    26.50s @agent to $asked, 4 edits: tool memory_insert returned: { UTC+0000"⏎}
      26.50s tool
      27.50s tool memory_insert
      28.60s tool memory_insert returned:
      29.81s tool memory_insert returned: { UTC+0000"
      31.14s tool memory_insert returned: { UTC+0000"⏎}
    "#);
}

#[test]
fn calls_that_are_asked_about_together_share_a_card() {
    // REST wants all answers in one request; this one is of an approval and a denial.
    let mixed = ApprovalDecision {
        reason: Some("not that one".to_owned()),
        ..approval_decision(false, DecidedBy::Person(person()))
    };
    let after = transcript!("approval_parallel_mixed");
    let story = decided(transcript!("approval_parallel"), mixed, after);
    assert_snapshot!(timeline(story, QUICK), @r#"
    0.47s @agent to $asked, 1 edit: ❌ **Denied** by @ann:example.org: `n… (189 characters) …`⏎⏎- `query`: `p2`
      0.47s **May I use `memory_insert` and `con… (389 characters) … {APPROVAL_NEEDED}
      20.46s ❌ **Denied** by @ann:example.org: `n… (189 characters) …`⏎⏎- `query`: `p2`
    20.59s @agent to $asked: tool conversation_search returned: {… (302 characters) …:41 AM UTC+0000"⏎}
    "#);
}
