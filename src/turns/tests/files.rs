//! What people send along with their words is fetched once, within limits, and holds nobody up.

use super::{lab::Lab, letta::Fate};
use crate::{
    journal::{Attachment, AttachmentKind},
    matrix::scripted_homeserver::Fault,
};

fn text_file(id: &str, size: Option<u64>) -> Attachment {
    Attachment {
        kind: AttachmentKind::File,
        uri: Some(format!("mxc://house.test/{id}").into()),
        name: format!("{id}.txt"),
        mimetype: None,
        size,
        dimensions: None,
        is_refused: false,
    }
}

#[tokio::test(start_paused = true)]
async fn file_is_fetched_once_however_often_letta_is_asked() {
    let lab = Lab::new();
    lab.homeserver.upload("notes", "hello".into());
    lab.letta.next([Fate::Letta(503), Fate::Letta(503)]);
    lab.show("read this", text_file("notes", Some(5)));
    lab.until_quiet().await;
    assert_eq!(lab.letta.asked("send"), 3);
    assert!(lab.letta.accepted()[0][0].contains("hello"));
    assert_eq!(lab.homeserver.asked_for("/download/"), 1);
}

#[tokio::test(start_paused = true)]
async fn files_that_take_too_long_or_hold_too_much_do_not_stop_the_words() {
    let lab = Lab::new();
    lab.homeserver.upload("one", "1".repeat(200_000).into());
    lab.homeserver.upload("two", "2".repeat(200_000).into());
    lab.homeserver
        .fails("/download/house.test/slow", [Fault::Silence]);
    lab.say("busy");
    for (id, words) in [("one", "first"), ("two", "second"), ("slow", "third")] {
        // As small as its sender says.
        lab.show(words, text_file(id, Some(10)));
    }
    lab.until_quiet().await;
    let accepted = lab.letta.accepted().concat().join(" ");
    assert!(accepted.contains("111") && !accepted.contains("222"));
    let last = lab.letta.accepted().pop();
    assert!(last.is_some_and(|turn| turn.len() >= 3), "all in one turn");
    assert_eq!(lab.sees("{FILES_TOO_LONG}"), 1);
    assert_eq!(lab.sees("{FILE_TOO_SLOW}"), 1);
}
