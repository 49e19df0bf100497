//! `docs/limits.md`: every named limit of the program, generated and compared.
//!
//! The limits of the homeserver come from its own table; those of the bridge and of the connection to Letta are read off their
//! constants in the source, so that a value cannot fall behind the code. What one sees when a limit is reached is said here.

mod rows;

use std::{fmt::Write, fs, path::Path};

use self::rows::{BRIDGE, CONNECTIONS, LETTA, Row};

/// Where the document is.
const DOCUMENT: &str = "docs/limits.md";

const INTRODUCTION: &str = "# Limits

Generated from the named limits in the code (`UPDATE_EXAMPLES=1 cargo test --lib` rewrites it). Nobody reaches them by talking; they \
are there so that one account, one bridge or one mistake does not stop the others.

## The homeserver that comes along

A request that is refused is answered with the status and error code of the table and a sentence that says what to do; nothing of it \
is stored. What was stored before a limit was there stays readable.
";

/// The first paragraph of a constant's documentation and its value, read off the source.
fn constant(file: &str, name: &str) -> Option<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = fs::read_to_string(path).ok()?;
    let mut about = String::new();
    let mut is_first_paragraph = true;
    for line in text.lines() {
        let line = line.trim();
        if let Some(comment) = line.strip_prefix("///") {
            is_first_paragraph &= !comment.trim().is_empty();
            if is_first_paragraph {
                about.push(' ');
                about.push_str(comment.trim());
            }
            continue;
        }
        let declared = line.split_once(&format!("const {name}: "));
        if let Some((_, declared)) = declared {
            let (_, value) = declared.split_once(" = ")?;
            let about = about.trim().trim_end_matches('.');
            let about = about.replace("[`", "`").replace("`]", "`");
            return Some((about, readable(name, value.trim_end_matches(';'))));
        }
        about.clear();
        is_first_paragraph = true;
    }
    None
}

/// A value as people write it: products multiplied, with the unit that the name has.
fn readable(name: &str, value: &str) -> String {
    let product = value
        .split(" * ")
        .map(|factor| factor.replace('_', "").parse::<u64>())
        .try_fold(1, |product, factor| factor.map(|factor| product * factor));
    if let Some(time) = value.strip_prefix("Duration::from_") {
        let (unit, count) = time.split_once('(').unwrap_or_default();
        let unit = match unit {
            "millis" => "ms",
            "secs" => "s",
            "mins" => "min",
            _ => "h",
        };
        return format!("{} {unit}", count.trim_end_matches(')'));
    }
    let Ok(count) = product else {
        return value.to_owned();
    };
    let is_bytes = name.contains("BYTES");
    match count {
        _ if is_bytes && count % (1 << 20) == 0 => format!("{} MiB", count >> 20),
        _ if is_bytes && count % (1 << 10) == 0 => format!("{} KiB", count >> 10),
        _ if is_bytes => format!("{count} bytes"),
        _ if name.contains("CHARS") => format!("{count} characters"),
        _ if count >= 1_000_000 && count % 1_000_000 == 0 => {
            format!("{},000,000", count / 1_000_000)
        }
        _ if count >= 10_000 && count % 1_000 == 0 => format!("{},000", count / 1_000),
        _ => count.to_string(),
    }
}

fn table(rows: &[Row]) -> String {
    let mut text =
        "\n| Limit | Value | When it is reached | Name in the code |\n| --- | --- | --- | --- |\n"
            .to_owned();
    for (file, name, reached) in rows {
        let (about, value) = constant(file, name)
            .unwrap_or_else(|| panic!("{file} has no constant {name} any more"));
        writeln!(
            text,
            "| {about} | {value} | {reached} | `{name}` in `{file}` |"
        )
        .unwrap();
    }
    text
}

#[test]
fn limits_in_the_documentation_are_those_of_the_code() {
    let text = format!(
        "{INTRODUCTION}{}\n## Connections and the disk, of the bridge and of the homeserver\n\nThe times and numbers of connections are set in \
         `appservice.connections` and with the keys `max_connections…` and `client_…_timeout` of `homeserver`.\n{}\n## The bridge\n\nHow often turns, edits and questions happen is set in `config.yaml`, see \
         `config.yaml.example`.\n{}\n## The connection to Letta\n{}",
        homeserver::limits_markdown(),
        table(CONNECTIONS),
        table(BRIDGE),
        table(LETTA),
    );
    crate::architecture::same_as_on_disk(Path::new(DOCUMENT), &text);
}
