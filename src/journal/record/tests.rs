//! Ids are functions of what they stand for, and of nothing else.

use std::collections::BTreeSet;

use proptest::prelude::*;
use ruma::EventId;

use super::*;

const AGENT: &str = "agent-00000000-0000-4000-8000-000000000001";

fn turn(event: &str, agent: &str) -> TurnId {
    TurnId::of(
        <&EventId>::try_from(event).unwrap(),
        &agent.parse().unwrap(),
    )
}

#[test]
fn ids_are_the_same_in_every_process_and_version() {
    // What these were yesterday is in journals, and in rooms: they may never change.
    let turn = turn("$asked", AGENT);
    let ids = [
        turn.part(0),
        turn.part(12),
        turn.edit(0),
        turn.edit(58),
        turn.last_edit(),
        turn.notice_id("waiting"),
        turn.notice_id("end"),
        SendId::of(&["encrypted", "!room"]),
    ];
    insta::assert_snapshot!(ids.map(|id| id.to_string()).join("\n"), @"
    495069e6bddde0aa1a0b2faa79c34c49.0
    495069e6bddde0aa1a0b2faa79c34c49.12
    495069e6bddde0aa1a0b2faa79c34c49.0.edit0
    495069e6bddde0aa1a0b2faa79c34c49.0.edit58
    495069e6bddde0aa1a0b2faa79c34c49.0.end
    495069e6bddde0aa1a0b2faa79c34c49.waiting
    495069e6bddde0aa1a0b2faa79c34c49.end
    592a9a036d60d511947f37236be2faff
    ");
}

#[test]
fn each_thing_that_a_turn_says_has_an_id_of_its_own() {
    let turn = turn("$asked", AGENT);
    let parts = (0..200).map(|index| turn.part(index));
    let edits = (0..200).map(|number| turn.edit(number));
    let others = [
        turn.last_edit(),
        turn.notice_id("waiting"),
        turn.notice_id("end"),
    ];
    let all: BTreeSet<_> = parts.chain(edits).chain(others).collect();
    assert_eq!(all.len(), 200 + 200 + 3);
}

#[test]
fn an_id_fits_a_url_as_it_is() {
    let id = turn("$asked/with?signs#", AGENT).edit(u32::MAX);
    assert!(id.as_str().len() < 64, "{id}");
    assert!(
        id.as_str()
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '.'),
        "{id}"
    );
}

fn words() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[ab|]{0,3}", 0..4)
}

proptest! {
    #[test]
    fn a_turn_is_a_function_of_its_first_event_and_its_agent(
        one in ("\\$[a-z0-9]{1,8}", "agent-[0-9a-f]{1,8}"),
        other in ("\\$[a-z0-9]{1,8}", "agent-[0-9a-f]{1,8}"),
    ) {
        let (first, second) = (turn(&one.0, &one.1), turn(&other.0, &other.1));
        prop_assert_eq!(&first, &turn(&one.0, &one.1));
        prop_assert_eq!(one == other, first == second);
    }

    #[test]
    fn different_words_have_different_ids_wherever_they_are_divided(
        one in words(),
        other in words(),
    ) {
        let id = |words: &[String]| {
            SendId::of(&words.iter().map(String::as_str).collect::<Vec<_>>())
        };
        prop_assert_eq!(id(&one), id(&one));
        prop_assert_eq!(one == other, id(&one) == id(&other));
    }
}
