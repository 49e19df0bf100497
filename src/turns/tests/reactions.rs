//! Reactions reach the agent once, with its next prompt.

use ruma::{event_id, owned_event_id, owned_user_id};

use super::lab::Lab;
use crate::journal::ReactionRecord;

#[tokio::test(start_paused = true)]
async fn reactions_come_with_the_next_prompt_once_and_without_redacted_ones() {
    let lab = Lab::new();
    for (number, key) in ["👍", "🎉", "👎"].into_iter().enumerate() {
        let reaction = ReactionRecord {
            event_id: ruma::EventId::parse(format!("$reaction{number}")).unwrap(),
            sender: owned_user_id!("@bob:house.test"),
            key: key.to_owned(),
            on: owned_event_id!("$answer"),
        };
        lab.journal.keep_reaction(&lab.home, &reaction).unwrap();
        lab.journal.keep_reaction(&lab.home, &reaction).unwrap();
    }
    lab.journal
        .withdraw_reactions(lab.room(), event_id!("$reaction2"))
        .unwrap();
    lab.say("thanks");
    lab.until_quiet().await;
    lab.say("next");
    lab.until_quiet().await;
    let prompts = lab.letta.prompts();
    let [first, second] = &prompts[..] else {
        panic!("{prompts:?}");
    };
    let told = "@bob:house.test reacted with \"👍\" to an earlier message of yours; \
                @bob:house.test reacted with \"🎉\" to an earlier message of yours\n\
                @ann:house.test: thanks";
    assert_eq!(first, told);
    assert!(!second.contains("reacted"), "{second}");
}

#[tokio::test(start_paused = true)]
async fn more_reactions_than_fit_lose_the_oldest() {
    let lab = Lab::new();
    for number in 0..25 {
        let reaction = ReactionRecord {
            event_id: ruma::EventId::parse(format!("$reaction{number}")).unwrap(),
            sender: owned_user_id!("@bob:house.test"),
            key: number.to_string(),
            on: owned_event_id!("$answer"),
        };
        lab.journal.keep_reaction(&lab.home, &reaction).unwrap();
    }
    let waiting = lab.journal.reactions(&lab.home).unwrap();
    assert_eq!((waiting.len(), &*waiting[0].key), (20, "5"));
}
