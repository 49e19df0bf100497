//! The arguments of a call as a list that can be read: one line for each, commands and long texts as code.
//!
//! Promise: all of it is shown, each value exactly as the model wrote it. An object that names a key twice shows both, and what is
//! no object is shown as it is.

use std::fmt::{self, Write};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::matrix::untrusted_text::{block, hides, inline};

/// The longest value that stands in the line of its name, in characters.
const INLINE_CHARS_MAX: usize = 100;
/// Names under which tools take a command for a shell.
const COMMAND_NAMES: [&str; 3] = ["command", "cmd", "script"];

/// Arguments as Markdown, with an empty line at the end.
pub(super) fn shown(arguments: &str) -> String {
    let Ok(Arguments(arguments)) = serde_json::from_str(arguments) else {
        return format!("{}\n\n", block(arguments));
    };
    if arguments.is_empty() {
        return "No arguments.\n\n".to_owned();
    }
    let mut out = String::new();
    for (name, value) in arguments {
        let text = serde_json::from_str::<String>(value.get()).ok();
        let is_command = text.is_some() && COMMAND_NAMES.contains(&name.as_str());
        let value = text.as_deref().unwrap_or(value.get());
        let name = argument_name(&name);
        // Writing to a String cannot fail.
        let _ = if !is_command && is_short(value) {
            writeln!(out, "- {name}: {}", inline(value))
        } else {
            let language = if is_command { "sh" } else { "" };
            writeln!(out, "- {name}:\n\n{}", indented(&block(value), language))
        };
    }
    out.push('\n');
    out
}

/// A name in full, or as JSON if `inline` would change it.
fn argument_name(name: &str) -> String {
    if is_short(name) {
        inline(name)
    } else {
        inline(&name.escape_default().to_string().replace('`', "\\u{60}"))
    }
}

/// Whether a value can stand in a line exactly as it is.
fn is_short(value: &str) -> bool {
    !value.is_empty()
        && value.trim() == value
        && value.chars().count() <= INLINE_CHARS_MAX
        && !value.chars().any(|c| c == '`' || c == '\n' || hides(c))
}

/// A block of code within an item of a list.
fn indented(block: &str, language: &str) -> String {
    let mut lines = block.split('\n');
    let first = lines.next().unwrap_or_default();
    let mut out = format!("  {first}{language}");
    for line in lines {
        out.push_str("\n  ");
        out.push_str(line);
    }
    out
}

/// The members of an object as they were written, in order, none left out.
struct Arguments(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Arguments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Arguments;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Arguments, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Arguments(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::matrix::{render::render, untrusted_text::visible};

    #[test]
    fn arguments_are_a_list_with_commands_as_code() {
        insta::assert_snapshot!(
            shown(r#"{"command":"rm -rf /tmp/x\nls","timeout":30,"paths":["a","b"],"note":"short","timeout":60,"empty":""}"#),
            @r#"
        - `command`:

          ```sh
          rm -rf /tmp/x
          ls
          ```
        - `timeout`: `30`
        - `paths`: `["a","b"]`
        - `note`: `short`
        - `timeout`: `60`
        - `empty`:

          ```
          
          ```
        "#
        );
        assert_eq!(shown("{}"), "No arguments.\n\n");
        assert_eq!(shown("[1]"), "```\n[1]\n```\n\n");
        assert_eq!(shown("not JSON"), "```\nnot JSON\n```\n\n");
    }

    proptest! {
        #[test]
        fn every_character_of_every_value_is_shown(
            values in prop::collection::vec("(\\PC|[`~\n\u{200b}\u{202e} \\\\<>&*_#-]){0,40}", 1..5),
        ) {
            let object: serde_json::Map<_, _> = values
                .iter()
                .enumerate()
                .map(|(number, value)| (format!("n{number}"), value.clone().into()))
                .collect();
            let text = shown(&serde_json::Value::from(object).to_string());
            let html = render(&text).html.unwrap_or_default();
            prop_assert_eq!(html.matches("<li>").count(), values.len(), "{}", html);
            prop_assert!(!html.contains("<em>") && !html.contains("<a "), "{}", html);
            let kept = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            for value in &values {
                prop_assert!(kept(&text).contains(&kept(&visible(value))), "{}", text);
            }
        }
    }
}
