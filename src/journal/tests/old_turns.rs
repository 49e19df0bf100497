//! Turns that an earlier version has stored still open, in the state in which they were.
//!
//! `turns_v1.jsonl` are records that version 1 wrote while its tests ran, one for each state; those that it wrote for moments only
//! are made of them.

use std::fmt::Write;

use super::*;
use crate::journal::turns::turn_key;

#[derive(serde::Deserialize)]
struct Stored {
    what: String,
    turn: Box<RawValue>,
}

fn stored() -> Vec<Stored> {
    let lines = include_str!("turns_v1.jsonl").lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The state in a line.
fn summary(turn: &TurnRecord) -> String {
    let state = turn.state();
    let mut line = format!("{}, segment {}", state.name(), turn.segment());
    for prompt in &turn.prompts {
        write!(line, ", {}", turn.key_of(prompt)).unwrap();
    }
    if let Some(run) = state.run() {
        write!(line, ", {run}").unwrap();
    }
    if let Some(answer) = state.answer() {
        write!(line, ", says {:?}", answer.text).unwrap();
    }
    if let Some(approval) = state.approval() {
        line.push_str(", asks");
        line.push_str(if approval.found { " found" } else { "" });
        line.push_str(if approval.repeats { " repeats" } else { "" });
    }
    if let Some(decided) = state.decided() {
        write!(line, ", {:?}", decided.decision.by).unwrap();
    }
    if let TurnState::Resuming { delivery, .. } = state {
        write!(line, ", {delivery:?}").unwrap();
    }
    line
}

#[tokio::test]
async fn turns_of_version_1_open_in_their_state() {
    let fixture = TestJournal::open();
    let mut seen = String::new();
    for Stored { what, turn } in stored() {
        // As it lies in a journal of then: a version byte for all kinds of records, and the record.
        let bytes = [&[FORMAT], turn.get().as_bytes()].concat();
        let key = decode::<TurnRecord>(&bytes, "turn").unwrap().key;
        fixture.db().insert(turn_key(&key), bytes).unwrap();
        let opened = fixture.open_turn(&key).unwrap().unwrap();
        writeln!(seen, "{what}: {}", summary(&opened)).unwrap();
        fixture.update_turn(&opened).unwrap();
        assert_eq!(fixture.open_turn(&key).unwrap(), Some(opened), "{what}");
        let bytes = fixture.db().get(turn_key(&key)).unwrap().unwrap();
        assert!(bytes[1..].starts_with(br#"{"v":2,"#), "{what}");
    }
    insta::assert_snapshot!(seen, @r#"
    begun: streaming, segment 0, $ask3
    sent and waiting for an answer: streaming, segment 0, $p5
    streaming: streaming, segment 0, $n0, run-0
    external: streaming, segment 0, run-d0245715-d8ed-48ad-bb31-58141dedeba1
    told, not said: finishing, segment 0, $asked, says "answer to asked."
    asked: awaiting a decision, segment 0, $asked, asks
    asked about what was found: awaiting a decision, segment 0, $asked, asks found
    approved: decided, segment 0, $asked, asks, Person("@ann:house.test")
    stopped while asked: decided, segment 0, $asked, asks, Stop("@ann:house.test")
    decided elsewhere: decided, segment 0, $asked, asks, External($asked~call_1)
    approved, room told, Letta not: resuming, segment 1, $asked, asks, Person("@ann:house.test"), Undelivered
    approved, Letta told: resuming, segment 1, $asked, asks, Person("@ann:house.test"), Sent
    approved, then forgotten: resuming, segment 1, $asked.1000000, asks, Person("@admin:house.test"), Forgotten { was_sent: false }
    stopped, Letta told: resuming, segment 1, $asked, asks, Stop("@ann:house.test"), Sent
    following a decision from elsewhere: resuming, segment 1, $asked, $asked~call_1, asks, External($asked~call_1), Sent
    found, decided: resuming, segment 1, $asked, asks found, Person("@admin:house.test"), Sent
    prompts after what was found: streaming, segment 2, $asked.2
    asking, not said: asking, segment 0, $asked, says "Let me see.", asks
    found at the start: asking, segment 0, says "", asks found
    told after a decision: finishing, segment 1, $asked, says "It is done.", asks, Person("@ann:house.test")
    told after what was found: finishing, segment 1, $asked, says "It is done.", asks found, Person("@admin:house.test")
    asked once more what may have run: awaiting a decision, segment 0, $asked, asks repeats
    nobody decided: decided, segment 0, $asked, asks, Timeout
    allowed by a rule: resuming, segment 1, $asked, asks, Rule, Undelivered
    asked, by the first version: awaiting a decision, segment 0, $asked, asks
    "#);
}

#[test]
fn version_2_is_stored_so() {
    // What it was yesterday is in journals: a change is another version.
    let mut seen = String::new();
    let mut states = std::collections::BTreeSet::new();
    for Stored { turn, .. } in stored() {
        let turn: TurnRecord = serde_json::from_str(turn.get()).unwrap();
        if states.insert(turn.state().name()) {
            let state = serde_json::to_string(turn.state()).unwrap();
            writeln!(seen, "{state}").unwrap();
        }
    }
    let turn = TurnRecord::external(TurnId::named(&["turn"]), home(), Millis(1));
    let stored = serde_json::to_string(&turn).unwrap();
    insta::assert_snapshot!(format!("{stored}\n{seen}"), @r#"
    {"v":2,"id":"fe8cf65dc8f287f40a94f42cbeaa7829","key":{"agent":"agent-1","room":"!room:house.test","thread":null},"prompts":[],"is_external":true,"started_at":1,"spent":{"sends":0,"runs":0,"failures":0,"restarts":0,"waited_ms":0},"shown":{"edits_reserved":0,"status_edits_reserved":0,"waiting":null},"segment":0,"prompt_keys":0,"state":{"streaming":{"run":null}}}
    {"streaming":{"run":null}}
    {"finishing":{"answer":{"text":"answer to asked.","remark":null},"decided":null}}
    {"awaiting_decision":{"request":"message-9","calls":[{"id":"call-1","tool":"launch","arguments":"{}"}],"approval_message":"0e469110150e129e7d06e8aa152b0805.card","until":1796097388546,"found":false,"repeats":false}}
    {"decided":{"approval":{"request":"message-9","calls":[{"id":"call-1","tool":"launch","arguments":"{}"}],"approval_message":"0e469110150e129e7d06e8aa152b0805.card","until":1796097388546,"found":false,"repeats":false},"decision":{"approve":true,"reason":null,"by":{"Person":"@ann:house.test"}}}}
    {"resuming":{"decided":{"approval":{"request":"message-9","calls":[{"id":"call-1","tool":"launch","arguments":"{}"}],"approval_message":"0e469110150e129e7d06e8aa152b0805.card","until":1796097388546,"found":false,"repeats":false},"decision":{"approve":true,"reason":null,"by":{"Person":"@ann:house.test"}}},"delivery":"undelivered","run":null}}
    {"asking":{"answer":{"text":"Let me see.","remark":null},"approval":{"request":"message-9","calls":[{"id":"call-1","tool":"launch","arguments":"{}"}],"approval_message":"0e469110150e129e7d06e8aa152b0805.card","until":1796097388546,"found":false,"repeats":false}}}
    "#);
}

#[test]
fn turn_of_a_version_to_come_is_refused() {
    let turn = TurnRecord::external(TurnId::named(&["turn"]), home(), Millis(1));
    let stored = serde_json::to_string(&turn).unwrap();
    let later = stored.replace(r#""v":2"#, r#""v":3"#);
    let refused = serde_json::from_str::<TurnRecord>(&later).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "turn record of version 3; this program knows versions 1 and 2"
    );
}
