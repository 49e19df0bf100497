//! Turns that an earlier version has left go on and end, whichever state they were in.

use std::fmt::Write;

use serde_json::{Value, json, value::to_raw_value};

use super::lab::{Lab, admin};
use crate::{
    journal::{OutboxItem, TurnRecord, TurnState},
    time::Millis,
};

/// Records of version 1, see `journal::tests::old_turns`.
const TURNS_V1: &str = include_str!("../../journal/tests/turns_v1.jsonl");
/// How long what is asked waits from now on, in milliseconds.
const APPROVAL_MS: u64 = 600_000;

/// The turn as it was stored, but in the room of the lab, and as if it was asked just now.
fn turn_here(lab: &Lab, mut stored: Value) -> TurnRecord {
    stored["key"] = serde_json::to_value(&lab.home).unwrap();
    if stored["ask"].is_object() {
        stored["ask"]["until"] = json!(Millis::now().0 + APPROVAL_MS);
    }
    serde_json::from_value(stored).unwrap()
}

/// What the turn says that it has sent is on its way.
fn send_what_it_has_sent(lab: &Lab, turn: &TurnRecord) {
    let asks = matches!(turn.state(), TurnState::Asking { .. });
    let approval = turn.state().approval().filter(|_| !asks);
    let approval = approval.map(|approval| approval.approval_message.clone());
    let notice = turn.shown.waiting.as_ref();
    let notice = notice.map(|_| turn.segment_id().notice_id("waiting"));
    for (send_id, body) in [(approval, "May I?"), (notice, "It waits.")] {
        let Some(send_id) = send_id else { continue };
        let content = json!({ "msgtype": "m.text", "body": body });
        let item = OutboxItem {
            room: lab.home.room.clone(),
            sender: ruma::owned_user_id!("@agent_1:house.test"),
            event_type: "m.room.message".to_owned(),
            send_id,
            content: to_raw_value(&content).unwrap(),
        };
        lab.journal.enqueue(&item).unwrap();
    }
}

/// A text on one line, and without how long something took.
fn plain(text: &str) -> String {
    let text = text.replace('\n', " ");
    match (text.find("has waited "), text.find(" and is delivered")) {
        (Some(begin), Some(end)) => format!("{}… {}", &text[..begin], &text[end..]),
        _ => text,
    }
}

#[tokio::test(start_paused = true)]
async fn turns_of_version_1_end_and_the_room_is_told() {
    let mut seen = String::new();
    for line in TURNS_V1.lines() {
        let stored: Value = serde_json::from_str(line).unwrap();
        let mut lab = Lab::new();
        lab.letta.take_decisions();
        lab.letta.forget_requests();
        let turn = turn_here(&lab, stored["turn"].clone());
        send_what_it_has_sent(&lab, &turn);
        lab.journal.update_turn(&turn).unwrap();
        lab.restart().await;
        lab.until("it has ended", |lab| {
            lab.decide(admin(), true);
            lab.journal.turns_in(lab.room()).unwrap().is_empty()
        })
        .await;
        lab.until_quiet().await;
        let shown = lab.homeserver.shown();
        // Reactions have no body.
        let shown = shown.iter().filter(|text| !text.is_empty());
        let shown: Vec<_> = shown.map(|text| plain(text)).collect();
        let shown = shown.join(" | ");
        let decided = lab.letta.approved();
        writeln!(
            seen,
            "{}: {decided:?} {shown}",
            stored["what"].as_str().unwrap()
        )
        .unwrap();
    }
    insta::assert_snapshot!(seen, @r#"
    begun: [] answer to x.
    sent and waiting for an answer: [] Your message …  and is delivered now. {LETTA_ERROR} | answer to p5.
    streaming: [] answer to n0.
    external: [] The end of this was missed. Letta's own app shows it. {TURN_MISSED}
    told, not said: [] Your message …  and is delivered now. {LETTA_SILENT} | answer to asked.
    asked: [true] ✅ **Approved** by @admin:house.test  `launch`  No arguments. | it was decided.
    asked about what was found: [true] ✅ **Approved** by @admin:house.test  `launch`  No arguments. | it was decided. | answer to asked.
    approved: [true] ✅ **Approved** by @ann:house.test  `launch`  No arguments. | it was decided.
    stopped while asked: [false] 🛑 **Denied**, because @ann:house.test stopped the turn  `launch`  No arguments. | Stopped. {STOPPED}
    decided elsewhere: [] ↪️ **No longer asked**, because it was decided outside of Matrix or Letta began anew  `look`  No arguments. | The end of this was missed. Letta's own app shows it. {TURN_MISSED}
    approved, room told, Letta not: [true] May I? | it was decided.
    approved, Letta told: [true] May I? | it was decided.
    approved, then forgotten: [] May I? | answer to asked.
    stopped, Letta told: [false] May I? | Stopped. {STOPPED}
    following a decision from elsewhere: [] May I? | The end of this was missed. Letta's own app shows it. {TURN_MISSED}
    found, decided: [true] May I? | it was decided. | answer to asked.
    prompts after what was found: [] answer to asked.
    asking, not said: [true] Let me see. | ✅ **Approved** by @admin:house.test  `launch`  No arguments. | it was decided.
    found at the start: [true] ✅ **Approved** by @admin:house.test  `launch`  No arguments. | it was decided.
    told after a decision: [] May I? | It is done.
    told after what was found: [] May I? | It is done. | answer to asked.
    asked once more what may have run: [true] ✅ **Approved** by @admin:house.test  `launch`  No arguments. | it was decided.
    nobody decided: [false] ⌛ **Denied**, because nobody decided in time  `launch`  No arguments. | it was decided.
    allowed by a rule: [true] May I? | it was decided.
    asked, by the first version: [true] ✅ **Approved** by @admin:house.test  `launch`  No arguments. | it was decided.
    "#);
}
