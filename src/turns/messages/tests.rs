//! What is still to be said at the end of a turn, and to whom.

use std::collections::BTreeSet;

use ruma::{event_id, owned_event_id, owned_room_id, owned_user_id};

use super::*;
use crate::{
    journal::{ConversationKey, QueuedPrompt, TurnId},
    time::Millis,
};

fn builder() -> MessageBuilder {
    MessageBuilder {
        ghost: owned_user_id!("@agent_1:example.org"),
        mentions: vec![owned_user_id!("@ann:example.org")],
        replies: true,
        mark: String::new(),
    }
}

fn turn(thread: Option<OwnedEventId>) -> TurnRecord {
    let agent: letta_client::AgentId = "agent-1".parse().unwrap();
    let prompt = |event_id| QueuedPrompt {
        event_id,
        sender: owned_user_id!("@ann:example.org"),
        text: "?".to_owned(),
        admitted_at: Millis(0),
        retries: 0,
        attachment: None,
        reply_to: None,
    };
    let id = TurnId::of(event_id!("$first"), &agent);
    let key = ConversationKey {
        agent,
        room: owned_room_id!("!room"),
        thread,
    };
    let prompts = vec![
        prompt(owned_event_id!("$first")),
        prompt(owned_event_id!("$last")),
    ];
    TurnRecord::new(id, key, prompts, Millis(0))
}

fn unfinished(text: &str) -> UnfinishedAnswer {
    UnfinishedAnswer {
        text: text.to_owned(),
        ..UnfinishedAnswer::default()
    }
}

fn answer(text: &str, ending_notice: Option<&str>) -> Answer {
    Answer {
        text: text.to_owned(),
        ending_notice: ending_notice.map(|text| NoticeText::new(text, "STOPPED")),
    }
}

fn content(item: &OutboxItem) -> Value {
    serde_json::from_str(item.content.get()).unwrap()
}

fn told(item: &OutboxItem) -> usize {
    let content = content(item);
    content["m.mentions"]["user_ids"]
        .as_array()
        .map_or(0, Vec::len)
}

/// Longer than one message.
fn long() -> String {
    ("word ".repeat(3_000) + "\n\n").repeat(4)
}

#[test]
fn an_answer_replies_to_the_last_of_what_it_answers() {
    let said = content(&builder().first(&turn(None), &unfinished("Yes.")));
    assert_eq!(said["m.relates_to"]["m.in_reply_to"]["event_id"], "$last");
    let said =
        content(&builder().first(&turn(Some(owned_event_id!("$root"))), &unfinished("Yes.")));
    assert_eq!(said["m.relates_to"]["event_id"], "$root");
    assert_eq!(said["m.relates_to"]["m.in_reply_to"]["event_id"], "$last");
}

#[test]
fn answer_that_just_follows_its_question_quotes_nothing() {
    let voice = MessageBuilder {
        replies: false,
        ..builder()
    };
    let said = content(&voice.first(&turn(None), &unfinished("Yes.")));
    assert_eq!(said.get("m.relates_to"), None);
    let said = content(&voice.first(&turn(Some(owned_event_id!("$root"))), &unfinished("Yes.")));
    let relation = &said["m.relates_to"];
    assert_eq!(relation["rel_type"], "m.thread");
    assert_eq!(relation["event_id"], "$root");
    assert_eq!(relation["is_falling_back"], true);
    assert_eq!(relation["m.in_reply_to"]["event_id"], "$last");
}

#[test]
fn unfinished_answer_ends_in_its_mark_until_the_last_edit() {
    let voice = MessageBuilder {
        mark: " ▍".to_owned(),
        ..builder()
    };
    let said = content(&voice.first(&turn(None), &unfinished("Yes")));
    assert_eq!(said["body"], "Yes ▍");
    let first = event_id!("$answer");
    let id = turn(None).id.edit(0);
    let edit: Value = serde_json::from_str(
        voice
            .edit_unfinished(first, &unfinished("**Yes**"), &id)
            .get(),
    )
    .unwrap();
    assert_eq!(
        edit["m.new_content"]["formatted_body"],
        "<strong>Yes</strong> ▍"
    );
    let edit: Value = serde_json::from_str(
        voice
            .edit_unfinished(first, &unfinished("**Yes**\n\nand"), &id)
            .get(),
    )
    .unwrap();
    assert_eq!(
        edit["m.new_content"]["formatted_body"],
        "<p><strong>Yes</strong></p>\n<p>and ▍</p>"
    );
    let last = voice.final_messages(&turn(None), &answer("Yes", None), None, Some(first), false);
    assert_eq!(content(&last[0])["m.new_content"]["body"], "Yes");
}

#[test]
fn what_is_shown_whole_is_not_said_again() {
    let first = Some(event_id!("$answer"));
    let final_messages =
        |answer, complete| builder().final_messages(&turn(None), &answer, None, first, complete);
    assert!(final_messages(answer("Yes.", None), true).is_empty());
    let last = final_messages(answer("Yes.", None), false);
    assert_eq!(last.len(), 1);
    assert_eq!(last[0].send_id, turn(None).id.last_edit());
    assert_eq!(content(&last[0])["m.relates_to"]["event_id"], "$answer");
    let ending_notice = final_messages(answer("Yes.", Some("Stopped.")), true);
    assert_eq!(ending_notice.len(), 1);
    assert_eq!(content(&ending_notice[0])["msgtype"], "m.notice");
}

#[test]
fn only_the_first_part_mentions_the_sender() {
    let ending_notice = Some("Stopped.");
    let items = builder().final_messages(
        &turn(None),
        &answer(&long(), ending_notice),
        None,
        None,
        false,
    );
    assert!(items.len() > 3);
    let rings: Vec<_> = items.iter().map(told).collect();
    assert_eq!((rings[0], rings[1..].iter().sum::<usize>()), (1, 0));
    let first = Some(event_id!("$answer"));
    let items = builder().final_messages(
        &turn(None),
        &answer(&long(), ending_notice),
        None,
        first,
        false,
    );
    assert_eq!(items.iter().map(told).sum::<usize>(), 0, "it rang before");
}

#[test]
fn everything_that_is_said_has_its_own_id_and_every_crash_the_same_one() {
    let say =
        || builder().final_messages(&turn(None), &answer(&long(), Some("!")), None, None, false);
    let ids: BTreeSet<_> = say().into_iter().map(|item| item.send_id).collect();
    assert_eq!(ids.len(), say().len());
    for (one, other) in say().iter().zip(say()) {
        assert_eq!(one.send_id, other.send_id);
        assert_eq!(one.content.get(), other.content.get());
        assert_eq!(content(one)["org.letta.send_id"], one.send_id.as_str());
    }
}
