//! Writes a configuration as YAML with a comment above every key.
//!
//! The comments are the doc comments of the types, so that the sample, the file that `init` writes
//! and this program never disagree.

use serde_yaml::{Mapping, Value};

use super::{Config, schema};

/// Where lines end, in characters.
const WIDTH: usize = 100;

/// `config` as YAML, secrets included, with a comment above every key.
pub fn render(config: &Config) -> String {
    let values = serde_yaml::to_value(config).unwrap_or_default();
    let mut out = String::new();
    comment(schema::root().description(), 0, &mut out);
    for (key, node) in schema::root().children() {
        out.push('\n');
        entry(key, node, values.get(key), 0, &mut out);
    }
    out
}

fn entry(key: &str, node: schema::Node, value: Option<&Value>, depth: usize, out: &mut String) {
    comment(node.description(), depth, out);
    let indent = "  ".repeat(depth);
    if node.children().next().is_some() {
        out.extend([indent.as_str(), key, ":\n"]);
        for (name, child) in node.children() {
            entry(
                name,
                child,
                value.and_then(|value| value.get(name)),
                depth + 1,
                out,
            );
        }
        // Keys that belong to somebody else, as Tuwunel's in `homeserver`, stay as they are.
        let known = |name: &Value| {
            node.children()
                .any(|(known, _)| name.as_str() == Some(known))
        };
        let others = value.and_then(Value::as_mapping).into_iter().flatten();
        let others: Mapping = others
            .filter(|(name, _)| !known(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if !others.is_empty() {
            for line in serde_yaml::to_string(&others).unwrap_or_default().lines() {
                out.extend(["  ".repeat(depth + 1).as_str(), line, "\n"]);
            }
        }
        return;
    }
    let value = value.cloned().unwrap_or_default();
    let yaml =
        serde_yaml::to_string(&Mapping::from_iter([(key.into(), value)])).unwrap_or_default();
    for line in yaml.lines() {
        out.extend([indent.as_str(), line, "\n"]);
    }
}

/// The text as comment lines: paragraphs, and lists whose items begin with `* `.
fn comment(text: &str, depth: usize, out: &mut String) {
    let mut blocks: Vec<String> = Vec::new();
    for line in text.lines().map(str::trim) {
        match blocks.last_mut() {
            Some(block) if !line.is_empty() && !line.starts_with("* ") && !block.is_empty() => {
                block.push(' ');
                block.push_str(line);
            }
            _ => blocks.push(line.to_owned()),
        }
    }
    let indent = "  ".repeat(depth);
    for block in blocks {
        for line in wrap(&block, WIDTH - indent.len() - "# ".len()) {
            out.push_str(format!("{indent}# {line}").trim_end());
            out.push('\n');
        }
    }
}

/// Breaks a block at spaces; the further lines of a list item are indented.
fn wrap(block: &str, width: usize) -> Vec<String> {
    let hanging = if block.starts_with("* ") { "  " } else { "" };
    let mut lines = vec![String::new()];
    for word in block.split(' ') {
        match lines.last_mut() {
            Some(line) if line.trim().is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("{hanging}{word}")),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_sample_in_the_repository_is_the_generated_one() {
        crate::architecture::same_as_on_disk(
            Path::new("config.yaml.example"),
            &render(&Config::default()),
        );
    }

    #[test]
    fn the_sample_reads_back_as_the_defaults() {
        let text = render(&Config::default());
        let again: Config = serde_yaml::from_str(&text).unwrap();
        assert_eq!(render(&again), text);
        assert!(
            text.lines().all(|line| line.chars().count() <= WIDTH),
            "{text}"
        );
    }

    #[test]
    fn lists_hang_and_paragraphs_stay_apart() {
        let mut out = String::new();
        comment(
            "First line\nof text.\n\n* one two three\n  four\n* five",
            0,
            &mut out,
        );
        assert_eq!(
            out,
            "# First line of text.\n#\n# * one two three four\n# * five\n"
        );
        assert_eq!(wrap("* one two three", 9), ["* one two", "  three"]);
    }
}
