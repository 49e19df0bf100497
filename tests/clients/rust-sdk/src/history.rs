//! What two people say in a room, as both see it in the SDK's timeline.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use matrix_sdk::attachment::AttachmentConfig;
use matrix_sdk::media::{MediaFormat, MediaRequestParameters};
use matrix_sdk::room::edit::EditedContent;
use matrix_sdk::ruma::api::client::receipt::create_receipt::v3::ReceiptType;
use matrix_sdk::ruma::events::relation::Thread;
use matrix_sdk::ruma::events::room::message::{
    MessageType, Relation, RoomMessageEventContent, RoomMessageEventContentWithoutRelation,
};
use matrix_sdk::{Room, RoomState};
use matrix_sdk_ui::timeline::{EventTimelineItem, RoomExt, Timeline};

use crate::person::Person;
use crate::steps::{Steps, until};

/// The smallest thing that is an image.
const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\0\0\0\rIDATx\x9cbd`\xf8_\x0f\0\x02\x87\x01\x80\xebG\xba\x92\0\0\0\0IEND\xaeB`\x82";
const THUMB: &str = "👍";

/// The event with this text, as it is now.
pub async fn find(timeline: &Timeline, body: &str) -> Option<EventTimelineItem> {
    item(timeline, |event| {
        event.event_id().is_some()
            && event
                .content()
                .as_message()
                .is_some_and(|message| message.body() == body)
    })
    .await
}

/// The newest event that passes.
async fn item(
    timeline: &Timeline,
    passes: impl Fn(&EventTimelineItem) -> bool,
) -> Option<EventTimelineItem> {
    let items = timeline.items().await;
    items
        .iter()
        .rev()
        .filter_map(|item| item.as_event())
        .find(|event| passes(event))
        .cloned()
}

/// Both say hello, and everything else that one does with messages.
pub async fn talk(steps: &mut Steps, alice: &Person, bob: &Person, room: &Room) -> Option<()> {
    let theirs = bob.room(room.room_id()).ok()?;
    let (ours, theirs_seen) = (
        Arc::new(room.timeline().await.ok()?),
        theirs.timeline().await.ok()?,
    );
    let hello = steps
        .step("send a message", async {
            let sent = room
                .send(RoomMessageEventContent::text_plain("hello bob"))
                .await?;
            ensure!(sent.encryption_info.is_some(), "it was sent in the clear");
            Ok(sent.response.event_id)
        })
        .await?;
    steps
        .step("the message arrives and was encrypted", async {
            let seen = until(|| find(&theirs_seen, "hello bob")).await?;
            ensure!(seen.event_id() == Some(&*hello), "it has another event id");
            ensure!(seen.encryption_info().is_some(), "it was not encrypted");
            Ok(())
        })
        .await?;
    steps
        .step(
            "unread messages are counted",
            until(|| async {
                (theirs.unread_notification_counts().notification_count >= 1
                    || theirs.num_unread_messages() >= 1)
                    .then_some(())
            }),
        )
        .await;
    steps
        .step("reading sets the count to nothing, and is seen", async {
            theirs_seen.mark_as_read(ReceiptType::Read).await?;
            until(|| async {
                (theirs.unread_notification_counts().notification_count == 0
                    && theirs.num_unread_messages() == 0)
                    .then_some(())
            })
            .await?;
            until(|| item(&ours, |event| event.read_receipts().contains_key(&bob.id))).await
        })
        .await;
    steps
        .step("an answer comes back", async {
            theirs
                .send(RoomMessageEventContent::text_plain("hello alice"))
                .await?;
            until(|| find(&ours, "hello alice")).await
        })
        .await?;
    relate(steps, bob, room, &ours, &theirs_seen).await;
    picture(steps, bob, room, &theirs_seen).await;
    steps
        .step("the homeserver's history has it all", async {
            let page = room
                .messages(matrix_sdk::room::MessagesOptions::backward())
                .await?;
            ensure!(!page.chunk.is_empty(), "the page is empty");
            ensure!(room.state() == RoomState::Joined, "not in the room");
            Ok(alice.id.clone())
        })
        .await;
    Some(())
}

/// Reaction, edit, thread, redaction.
async fn relate(
    steps: &mut Steps,
    bob: &Person,
    room: &Room,
    ours: &Timeline,
    theirs: &Timeline,
) -> Option<()> {
    let hello = find(theirs, "hello bob").await?;
    steps
        .step("react", async {
            theirs.toggle_reaction(&hello.identifier(), THUMB).await?;
            let reacted = |event: &EventTimelineItem| {
                let reactions = event.content().reactions();
                reactions
                    .is_some_and(|all| all.get(THUMB).is_some_and(|by| by.contains_key(&bob.id)))
            };
            until(|| item(ours, reacted)).await
        })
        .await;
    steps
        .step("edit", async {
            let new = RoomMessageEventContentWithoutRelation::text_plain("hello, bob");
            ours.edit(&hello.identifier(), EditedContent::RoomMessage(new))
                .await?;
            let seen = until(|| find(theirs, "hello, bob")).await?;
            let message = seen.content().as_message().context("no message")?;
            ensure!(message.is_edited(), "it is a new one");
            Ok(())
        })
        .await;
    steps
        .step("reply in a thread", async {
            let root = hello.event_id().context("no event id")?.to_owned();
            let mut content = RoomMessageEventContent::text_plain("in the thread");
            content.relates_to = Some(Relation::Thread(Thread::plain(root.clone(), root.clone())));
            bob.room(room.room_id())?.send(content).await?;
            let seen = until(|| find(ours, "in the thread")).await?;
            ensure!(
                seen.content().thread_root() == Some(root),
                "it is in no thread"
            );
            let threads = room
                .list_threads(matrix_sdk::room::ListThreadsOptions::default())
                .await?;
            ensure!(threads.chunk.len() == 1, "{} threads", threads.chunk.len());
            Ok(())
        })
        .await;
    steps
        .step("redact", async {
            let slip = room
                .send(RoomMessageEventContent::text_plain("a slip"))
                .await?;
            let slip = slip.response.event_id;
            until(|| find(theirs, "a slip")).await?;
            room.redact(&slip, Some("a slip"), None).await?;
            let redacted = |event: &EventTimelineItem| {
                event.event_id() == Some(&*slip) && event.content().is_redacted()
            };
            until(|| item(theirs, redacted)).await
        })
        .await;
    steps
        .step("typing is seen", async {
            let (_guard, mut typing) = bob
                .room(room.room_id())?
                .subscribe_to_typing_notifications();
            room.typing_notice(true).await?;
            let who = typing.recv().await?;
            ensure!(
                who.iter().any(|user| *user == room.own_user_id()),
                "{who:?}"
            );
            room.typing_notice(false).await?;
            Ok(())
        })
        .await;
    Some(())
}

/// An image that the homeserver cannot see either.
async fn picture(steps: &mut Steps, bob: &Person, room: &Room, theirs: &Timeline) {
    steps
        .step("an encrypted image up and down", async {
            let kind = "image/png".parse()?;
            room.send_attachment("dot.png", &kind, PICTURE.to_vec(), AttachmentConfig::new())
                .await?;
            let seen = until(|| find(theirs, "dot.png")).await?;
            let message = seen.content().as_message().context("no message")?.clone();
            let MessageType::Image(image) = message.msgtype() else {
                anyhow::bail!("it is no image: {}", message.body())
            };
            let request = MediaRequestParameters {
                source: image.source.clone(),
                format: MediaFormat::File,
            };
            let got = bob
                .client
                .media()
                .get_media_content(&request, false)
                .await?;
            ensure!(got == PICTURE, "it came back as something else");
            Ok(())
        })
        .await;
}
