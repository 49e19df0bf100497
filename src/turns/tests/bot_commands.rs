//! Commands of other bots, alone and in company.

use serde_json::json;

use super::lab::{ANN, Lab};
use crate::matrix::scripted_homeserver::Fault;

#[tokio::test(start_paused = true)]
async fn command_of_another_bot_is_a_prompt_only_where_one_person_is() {
    for (members, is_prompt) in [
        (json!({ ANN: {} }), true),
        (json!({ ANN: {}, "@bob:house.test": {} }), false),
    ] {
        let lab = Lab::new();
        let members = Fault::Answer(200, json!({ "joined": members }));
        lab.homeserver.fails("joined_members", [members]);
        lab.say("!weather Bern");
        lab.until_quiet().await;
        lab.say("hello");
        lab.until_seen("hello.").await;
        assert_eq!(lab.letta.has_accepted("!weather Bern"), is_prompt);
        assert_eq!(lab.letta.asked("send"), 1 + usize::from(is_prompt));
    }
}
