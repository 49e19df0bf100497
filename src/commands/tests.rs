//! What commands mean, what help says, and which agent a name finds; here is what holds for all of them.

mod help;
mod lookup;
mod parse;

use std::collections::BTreeSet;

use insta::assert_snapshot;
use letta_client::AgentId;
use proptest::prelude::*;

use super::*;

#[test]
fn the_table_agrees_with_itself() {
    let names: Vec<_> = DEFINITIONS
        .iter()
        .flat_map(|definition| definition.names())
        .collect();
    assert_eq!(
        names.iter().collect::<BTreeSet<_>>().len(),
        names.len(),
        "a name is there twice"
    );
    for definition in DEFINITIONS {
        let text = format!(
            "{} {}",
            definition.name,
            definition.arguments.split(' ').next().unwrap_or_default()
        );
        let text = text
            .replace("[accept-removals]", "")
            .replace("[command]", "")
            .replace("<number>", "1");
        // Choices are said by leaving them out.
        let text = text.split(" [").next().unwrap_or_default();
        let Parsed::Command(command) = parse(text, true) else {
            panic!("{text}")
        };
        assert_eq!(command.definition().name, definition.name);
    }
}

#[test]
fn an_old_command_is_stale_and_a_future_one_is_not() {
    let limit = 5 * 60 * 1_000;
    let sent = 1_700_000_000_000;
    assert!(!is_stale(sent, sent));
    assert!(!is_stale(sent, sent + limit));
    assert!(is_stale(sent, sent + limit + 1));
    assert!(!is_stale(sent + limit * 100, sent));
    assert!(is_stale(0, u64::MAX));
}

fn candidates() -> Vec<(AgentId, String)> {
    [
        ("agent-e54fc601-4773", "Scout"),
        ("agent-e54fc602-0000", "Sales Bot"),
        ("agent-local-aaaa-bbbb", "Sales Archive"),
        ("agent-11111111", "Twin"),
        ("agent-22222222", "twin"),
        ("agent-33333333", "Émile"),
    ]
    .map(|(id, name)| (AgentId::parse(id).expect("an id"), name.to_owned()))
    .to_vec()
}

proptest! {
    #[test]
    fn any_text_is_read(text in any::<String>(), in_management_room in any::<bool>()) {
        for text in [text.clone(), format!("!letta {text}"), format!("invite {text}"), format!("!letta agent {text}")] {
            let _ = parse(&text, in_management_room);
        }
        let _ = find_agent(&text, &candidates());
    }
}
