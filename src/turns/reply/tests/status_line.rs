//! The status line that stands in an answer.

use std::time::Duration;

use super::{text, unfinished};
use crate::turns::reply::{MessageUpdate, Reply, UnfinishedAnswer};

#[test]
fn a_status_line_in_the_answer_is_shown_with_its_text_and_on_its_own() {
    let mut reply = Reply::new();
    reply.set_status("🔧 search…".to_owned());
    assert_eq!(reply.due(), None, "a line alone is no answer");
    reply.apply(&text("m", "Found it."), Duration::ZERO);
    let begins = reply.due().unwrap();
    assert!(reply.begins(begins));
    let with = |status: &str| UnfinishedAnswer {
        status: status.to_owned(),
        ..unfinished("Found it.")
    };
    assert_eq!(
        reply.show(begins),
        Some(MessageUpdate::First(with("🔧 search…")))
    );
    assert!(!reply.begins(begins));
    assert!(
        !reply.shows_in_full("Found it."),
        "the line is not for good"
    );
    assert_eq!(reply.due(), None);
    reply.set_status("🔧 fetch…".to_owned());
    let then = reply.due().unwrap();
    let answer = with("🔧 fetch…");
    assert_eq!(
        reply.show(then),
        Some(MessageUpdate::Edit { number: 0, answer })
    );
}
