//! Who appears, changes and goes, and what is then left to do.

use ruma::{owned_room_id, owned_user_id};

use super::*;
use crate::journal::AvatarRecord;

mod generated;

const GRACE: Duration = Duration::from_hours(2);
const NOW: Millis = Millis(1_000_000_000);

fn id(number: usize) -> AgentId {
    format!("agent-{number}").parse().unwrap()
}

fn agent(number: usize) -> Agent {
    Agent {
        id: id(number),
        name: format!("Agent {number}"),
        description: None,
        tags: Vec::new(),
        model: None,
    }
}

fn agents(numbers: impl IntoIterator<Item = usize>) -> Vec<Agent> {
    numbers.into_iter().map(agent).collect()
}

fn now_and_then(hours: u64) -> Millis {
    Millis(NOW.0 + hours * 3_600_000)
}

/// What the bridge knows after it has seen these agents.
fn known(seen: &[Agent]) -> BTreeMap<AgentId, AgentRecord> {
    let mut known = BTreeMap::new();
    learn(
        &mut known,
        diff_agents(&BTreeMap::new(), seen, NOW, GRACE, false),
    );
    known
}

fn learn(known: &mut BTreeMap<AgentId, AgentRecord>, comparison: Comparison) {
    for record in comparison.changed {
        known.insert(record.id.clone(), record);
    }
}

fn wanted() -> DesiredState {
    DesiredState {
        topic: Some("What it is for".to_owned()),
        people: vec![
            owned_user_id!("@ann:example.org"),
            owned_user_id!("@bob:example.org"),
        ],
        in_space: true,
        open_to: Some(owned_room_id!("!space")),
        avatar: Some("picture".to_owned()),
        greets: true,
    }
}

/// What a step leaves behind when it is done. `found`: the room was there already.
fn done(step: &Step, record: &mut AgentRecord, wanted: &DesiredState, found: bool) {
    match step {
        Step::CompareName => record.compared_name = Some(record.name.clone()),
        Step::Register => record.registered = true,
        Step::SetDisplayName => record.display_name = Some(shown_name(record)),
        Step::CreateRoom => {
            let room = owned_room_id!("!room");
            record.room = Some(room.clone());
            if !found {
                record.open_to.clone_from(&wanted.open_to);
                record.greeting = Greeting::Due;
                if let Some(avatar) = &mut record.avatar {
                    avatar.on_room = Some(room);
                }
                record.room_name = Some(shown_name(record));
                record.room_topic.clone_from(&wanted.topic);
                record.invited.extend(wanted.people.iter().cloned());
            }
        }
        Step::GiveAvatar => {
            record.avatar = Some(AvatarRecord {
                hash: wanted.avatar.clone().unwrap(),
                uri: "mxc://house.test/picture".into(),
                on_ghost: true,
                on_room: None,
                replaces: None,
            });
        }
        Step::SetRoomAvatar => {
            record
                .avatar
                .as_mut()
                .unwrap()
                .on_room
                .clone_from(&record.room);
        }
        Step::OpenToSpace => record.open_to.clone_from(&wanted.open_to),
        Step::Greet => record.greeting = Greeting::None,
        Step::Join => record.joined = true,
        Step::List => record.in_space = true,
        Step::Rename => record.room_name = Some(shown_name(record)),
        Step::SetTopic => record.room_topic.clone_from(&wanted.topic),
        Step::Invite(person) => {
            record.invited.insert(person.clone());
        }
    }
}

/// Does all there is to do for a record.
fn settle(record: &mut AgentRecord, wanted: &DesiredState) {
    for step in steps(&record.clone(), wanted) {
        done(&step, record, wanted, false);
    }
}

#[test]
fn unchanged_agent_needs_no_step() {
    let seen = agents(0..5);
    let mut known = known(&seen);
    for record in known.values_mut() {
        settle(record, &wanted());
        assert_eq!(steps(record, &wanted()), []);
    }
    assert_eq!(
        diff_agents(&known, &seen, NOW, GRACE, false),
        Comparison::default()
    );
    // Not even in another order, or listed twice.
    let again: Vec<_> = seen.iter().rev().chain(&seen).cloned().collect();
    assert_eq!(
        diff_agents(&known, &again, NOW, GRACE, true),
        Comparison::default()
    );
}

#[test]
fn an_agent_that_is_new_is_set_up_step_by_step() {
    let mut record = known(&agents([1])).remove(&id(1)).unwrap();
    assert_eq!(
        steps(&record, &wanted()),
        [
            Step::CompareName,
            Step::Register,
            Step::SetDisplayName,
            Step::GiveAvatar,
            Step::CreateRoom,
            Step::Join,
            Step::List,
            Step::SetRoomAvatar,
            Step::Greet,
        ]
    );
    // A room that was there already gets what a new one is created with.
    done(&Step::CreateRoom, &mut record, &wanted(), true);
    done(&Step::CompareName, &mut record, &wanted(), false);
    record.registered = true;
    assert_eq!(
        steps(&record, &wanted()),
        [
            Step::SetDisplayName,
            Step::GiveAvatar,
            Step::Join,
            Step::OpenToSpace,
            Step::List,
            Step::SetRoomAvatar,
            Step::Rename,
            Step::SetTopic,
            Step::Invite(owned_user_id!("@ann:example.org")),
            Step::Invite(owned_user_id!("@bob:example.org")),
        ]
    );
}

#[test]
fn an_empty_list_removes_nobody() {
    let known = known(&agents(0..3));
    let hold = Some(RemovalHold {
        missing: 3,
        known: 3,
    });
    let nothing_but_held = Comparison {
        hold,
        ..Comparison::default()
    };
    assert_eq!(
        diff_agents(&known, &[], NOW, GRACE, false),
        nothing_but_held
    );
    let one = self::known(&agents([0]));
    assert!(diff_agents(&one, &[], NOW, GRACE, false).hold.is_some());
    // Where nobody was, nobody is missed.
    let nobody = BTreeMap::new();
    assert_eq!(
        diff_agents(&nobody, &[], NOW, GRACE, false),
        Comparison::default()
    );
}

#[test]
fn more_than_half_missing_is_held_and_exactly_half_is_not() {
    let known = known(&agents(0..10));
    let four_left = diff_agents(&known, &agents(0..4), NOW, GRACE, false);
    let hold = Some(RemovalHold {
        missing: 6,
        known: 10,
    });
    assert_eq!((four_left.hold, four_left.changed.len()), (hold, 0));
    let acted = diff_agents(&known, &agents(0..5), NOW, GRACE, false);
    assert_eq!((acted.hold, acted.changed.len()), (None, 5));
    assert!(
        acted
            .changed
            .iter()
            .all(|record| record.status == AgentStatus::Gone { since: NOW })
    );
}

#[test]
fn listed_agents_are_reconciled_while_removals_are_on_hold() {
    let known = known(&agents(0..3));
    let renamed = Agent {
        name: "New name".to_owned(),
        ..agent(0)
    };
    let comparison = diff_agents(&known, &[renamed, agent(7)], NOW, GRACE, false);
    assert!(comparison.hold.is_some());
    let names: Vec<_> = comparison
        .changed
        .iter()
        .map(|record| &*record.name)
        .collect();
    assert_eq!(names, ["New name", "Agent 7"]);
}

#[test]
fn an_admin_agrees_that_the_missing_are_gone() {
    let known = known(&agents(0..3));
    let comparison = diff_agents(&known, &[], NOW, GRACE, true);
    assert_eq!((comparison.hold, comparison.changed.len()), (None, 3));
    assert_eq!(comparison.expired, [], "there is still the grace");
}

#[test]
fn a_room_is_closed_after_the_grace_and_once() {
    let mut known = known(&agents(0..4));
    let three = agents(0..3);
    let gone = diff_agents(&known, &three, NOW, GRACE, false);
    learn(&mut known, gone);
    let expired = |known: &BTreeMap<_, _>, hours| {
        let comparison = diff_agents(known, &three, now_and_then(hours), GRACE, false);
        assert_eq!(comparison.changed, [], "it is not gone again");
        comparison.expired
    };
    assert_eq!(expired(&known, 0), []);
    assert_eq!(expired(&known, 1), []);
    assert_eq!(expired(&known, 2), [id(3)]);
    known.get_mut(&id(3)).unwrap().status = AgentStatus::Retired;
    assert_eq!(expired(&known, 9), []);
    assert_eq!(
        steps(&known[&id(3)], &wanted()),
        [],
        "nothing is done for it"
    );
}

#[test]
fn an_agent_that_comes_back_has_its_room_again() {
    for (status, joined) in [
        (AgentStatus::Gone { since: NOW }, true),
        (AgentStatus::Retired, false),
    ] {
        let mut known = known(&agents(0..2));
        let record = known.get_mut(&id(1)).unwrap();
        settle(record, &wanted());
        let before = record.clone();
        (record.status, record.joined, record.in_space) = (status, joined, joined);
        let comparison = diff_agents(&known, &agents(0..2), now_and_then(90), GRACE, false);
        assert_eq!(comparison.expired, []);
        let [back] = <[_; 1]>::try_from(comparison.changed).unwrap();
        assert_eq!((&back.room, back.status), (&before.room, AgentStatus::Live));
        let left = steps(&back, &wanted());
        let expected: &[_] = if joined {
            &[]
        } else {
            &[Step::Join, Step::List]
        };
        assert_eq!(left, expected);
    }
}

#[test]
fn a_new_name_is_given_to_the_ghost_and_the_room() {
    let mut known = known(&agents([1]));
    settle(known.get_mut(&id(1)).unwrap(), &wanted());
    let renamed = Agent {
        name: "Ada".to_owned(),
        ..agent(1)
    };
    let comparison = diff_agents(&known, &[renamed], NOW, GRACE, false);
    let [record] = <[_; 1]>::try_from(comparison.changed).unwrap();
    assert_eq!(
        steps(&record, &wanted()),
        [Step::CompareName, Step::Rename, Step::SetDisplayName]
    );
}

#[test]
fn every_agent_has_a_name_that_a_homeserver_takes() {
    let name = |name: &str| {
        let agent = Agent {
            name: name.to_owned(),
            ..agent(1)
        };
        let known = known(std::slice::from_ref(&agent));
        let again = diff_agents(&known, &[agent], NOW, GRACE, false);
        assert_eq!(
            again,
            Comparison::default(),
            "a name does not change by itself"
        );
        known[&id(1)].name.clone()
    };
    assert_eq!(name("Ada Lovelace"), "Ada Lovelace");
    assert_eq!(name("  Ada\n\tLovelace\u{0} "), "Ada Lovelace");
    assert_eq!(name(""), "agent-1");
    assert_eq!(name(" \n"), "agent-1");
    let long = name(&"ж".repeat(10_000));
    assert_eq!(long.chars().count(), NAME_CHARS_MAX);
    assert!(long.ends_with('…'));
    assert_eq!(name(&"ж".repeat(NAME_CHARS_MAX)).chars().last(), Some('ж'));
}

#[test]
fn no_topic_is_taken_away_and_no_space_is_joined_unless_it_is_wanted() {
    let mut record = known(&agents([1])).remove(&id(1)).unwrap();
    let plain = DesiredState {
        topic: None,
        people: Vec::new(),
        in_space: false,
        open_to: None,
        avatar: None,
        greets: false,
    };
    settle(&mut record, &plain);
    assert_eq!(steps(&record, &plain), []);
    assert!(!record.in_space);
    record.room_topic = Some("Old".to_owned());
    assert_eq!(steps(&record, &plain), [Step::SetTopic]);
}

#[test]
fn name_that_somebody_else_has_is_marked_everywhere() {
    let mut record = known(&agents([1])).remove(&id(1)).unwrap();
    settle(&mut record, &wanted());
    assert_eq!(record.display_name.as_deref(), Some("Agent 1"));
    record.is_lookalike = true;
    assert_eq!(
        steps(&record, &wanted()),
        [Step::Rename, Step::SetDisplayName]
    );
    settle(&mut record, &wanted());
    assert_eq!(record.display_name.as_deref(), Some("Agent 1 (agent)"));
    assert_eq!(record.room_name.as_deref(), Some("Agent 1 (agent)"));
    assert_eq!(steps(&record, &wanted()), []);
}

#[test]
fn names_are_visible_text_or_the_id() {
    for (given, shown) in [
        ("\u{202e}adA\u{2066}", "adA"),
        ("\u{200b}\u{2060}\u{feff}", "agent-1"),
        ("\u{e0041}\u{fe0f}\u{3164}", "agent-1"),
        ("Ada\u{2028}Lovelace", "Ada Lovelace"),
    ] {
        let name = given.to_owned();
        assert_eq!(
            name_of(&Agent { name, ..agent(1) }),
            shown,
            "{}",
            given.escape_unicode()
        );
    }
}
