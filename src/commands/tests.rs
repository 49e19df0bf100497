//! What commands mean, what help says, and which agent a name finds; here is what holds for all of them.

mod help;
mod lookup;
mod parse;

use std::{collections::BTreeSet, fmt::Write, path::Path};

use clap::CommandFactory;
use insta::assert_snapshot;
use letta_client::AgentId;
use proptest::prelude::*;

use super::{definition::Line, *};

#[test]
fn definitions_agree_with_what_is_read() {
    let names: Vec<_> = Definition::all()
        .iter()
        .flat_map(Definition::names)
        .collect();
    assert_eq!(
        names.iter().collect::<BTreeSet<_>>().len(),
        names.len(),
        "a name is there twice"
    );
    for definition in Definition::all() {
        let needed = definition.usage.replace("<number>", "1");
        // What is optional is left out.
        let text = needed.split(" [").next().unwrap_or_default();
        let Parsed::Command(understood, _) = parse(text, true) else {
            panic!("{text}")
        };
        assert_eq!(understood.name, definition.name);
        assert!(!definition.summary.is_empty() && definition.usage.starts_with(&definition.name));
    }
    Line::command().debug_assert();
}

#[test]
fn readme_lists_the_commands_that_there_are() {
    let mut table = String::from("| command | who | what it does |\n|---|---|---|\n");
    for definition in Definition::all() {
        let usage = definition.usage.replace('|', "\\|");
        let (level, summary) = (definition.level, &definition.summary);
        writeln!(table, "| `{usage}` | {level} | {summary} |").unwrap();
    }
    crate::architecture::same_part_on_disk(Path::new("README.md"), "commands", &table);
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
