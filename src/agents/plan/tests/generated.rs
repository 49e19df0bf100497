//! Whatever is known of agents and in whatever order they come and go: nothing is done twice, and nobody is taken for removed too early.

use proptest::prelude::*;

use super::*;

prop_compose! {
    fn any_record()(
        registered: bool, joined: bool, in_space: bool, has_room: bool, named: bool, topic: bool,
        display in prop::option::of("Agent 1|Old"), is_lookalike: bool,
        status in prop_oneof![
            4 => Just(AgentStatus::Live),
            1 => Just(AgentStatus::Gone { since: NOW }),
            1 => Just(AgentStatus::Retired),
        ],
    ) -> AgentRecord {
        AgentRecord {
            registered,
            joined: has_room && joined,
            in_space: has_room && in_space,
            room: has_room.then(|| owned_room_id!("!room")),
            room_name: (has_room && named).then(|| "Agent 1".to_owned()),
            room_topic: (has_room && topic).then(|| "Old".to_owned()),
            display_name: display,
            is_lookalike,
            status,
            ..seen_again(None, &agent(1))
        }
    }
}

proptest! {
    #[test]
    fn when_every_step_is_done_no_step_is_left(mut record in any_record(), found: bool, in_space: bool) {
        let wanted = DesiredState { in_space, ..wanted() };
        let mut rounds = 0;
        loop {
            let left = steps(&record, &wanted);
            if left.is_empty() {
                break;
            }
            for step in left {
                let needs_room = !matches!(
                    step,
                    Step::CompareName | Step::Register | Step::SetDisplayName | Step::GiveAvatar | Step::CreateRoom
                );
                prop_assert!(!needs_room || record.room.is_some(), "{step:?} before there is a room");
                done(&step, &mut record, &wanted, found);
            }
            rounds += 1;
            prop_assert!(rounds <= 2, "a room that was found takes a second round, nothing a third");
        }
        if record.status == AgentStatus::Live {
            prop_assert!(record.registered && record.joined && record.room.is_some());
            prop_assert_eq!(record.room_topic, wanted.topic);
        }
    }

    #[test]
    fn no_room_is_closed_before_the_grace_period(
        lists in prop::collection::vec((prop::collection::btree_set(0_usize..6, 0..6), any::<bool>()), 1..12),
    ) {
        let mut known = known(&agents(0..6));
        let mut missed = BTreeMap::new();
        for (hour, (list, accept)) in lists.into_iter().enumerate() {
            let now = now_and_then(hour as u64);
            let live = |known: &BTreeMap<AgentId, AgentRecord>| -> Vec<AgentId> {
                let live = known.values().filter(|record| record.status == AgentStatus::Live);
                live.map(|record| record.id.clone()).collect()
            };
            let before = live(&known);
            let seen = agents(list.iter().copied());
            let comparison = diff_agents(&known, &seen, now, GRACE, accept);
            for id in &comparison.expired {
                let since: &Millis = missed.get(id).expect("it was missed before");
                prop_assert!(now.since(*since) >= GRACE);
            }
            let expired = comparison.expired.clone();
            learn(&mut known, comparison);
            for (id, record) in &known {
                match record.status {
                    AgentStatus::Gone { .. } => { missed.entry(id.clone()).or_insert(now); }
                    _ => { missed.remove(id); }
                }
            }
            let after = live(&known);
            let went = before.iter().filter(|id| !after.contains(id)).count();
            prop_assert!(accept || went * 2 <= before.len());
            prop_assert!(accept || !list.is_empty() || went == 0);
            for id in expired {
                known.get_mut(&id).unwrap().status = AgentStatus::Retired;
                missed.remove(&id);
            }
        }
    }
}
