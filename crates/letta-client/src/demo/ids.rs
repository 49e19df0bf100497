//! Ids of the demo: shaped as Letta's, agents the same on every start.

use rand::Rng;

use crate::id::AgentId;

/// The id of the `number`th agent. The same number is the same id for ever, so a bridge that was
/// restarted with a fresh demo finds its rooms again.
pub(super) fn agent(number: usize) -> String {
    format!("{}de300000-0000-4000-8000-{number:012x}", AgentId::PREFIX)
}

/// A fresh id of some kind.
pub(super) fn new(prefix: &str) -> String {
    format!("{prefix}{}", uuid())
}

/// The tool call ids of the providers are of another shape.
pub(super) fn call() -> String {
    let number: u64 = rand::rng().random();
    format!("call_{number:020x}")
}

/// A random UUID, version 4.
pub(super) fn uuid() -> String {
    let mut bytes: [u8; 16] = rand::rng().random();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
        text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
    }
    text
}

/// Whether a text has the shape that V1 asks of the ids in its paths.
pub(super) fn is_shaped(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|rest| {
        rest.len() == 36
            && rest.bytes().enumerate().all(|(at, b)| match at {
                8 | 13 | 18 | 23 => b == b'-',
                _ => b.is_ascii_digit() || (b'a'..=b'f').contains(&b),
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_shape_that_is_checked() {
        assert!(is_shaped(&agent(1), "agent-"));
        assert!(is_shaped(&new("run-"), "run-"));
        assert!(!is_shaped("run-nonsense", "run-"));
        assert_eq!(call().len(), 25);
    }
}
