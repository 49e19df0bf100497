//! What two people say in a room, as both see it in the SDK's timeline.

use anyhow::{Context as _, Result, ensure};
use matrix_sdk::Room;
use matrix_sdk::attachment::AttachmentConfig;
use matrix_sdk::media::{MediaFormat, MediaRequestParameters};
use matrix_sdk::room::MessagesOptions;
use matrix_sdk::room::edit::EditedContent;
use matrix_sdk::ruma::EventId;
use matrix_sdk::ruma::api::client::receipt::create_receipt::v3::ReceiptType;
use matrix_sdk::ruma::events::relation::Thread;
use matrix_sdk::ruma::events::room::message::{
    MessageType, Relation, RoomMessageEventContent, RoomMessageEventContentWithoutRelation,
};
use matrix_sdk_ui::timeline::{EventTimelineItem, RoomExt, Timeline};

use crate::person::Person;
use crate::steps::{Steps, until};

/// The smallest thing that is an image.
const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\0\0\0\rIDATx\x9cbd`\xf8_\x0f\0\x02\x87\x01\x80\xebG\xba\x92\0\0\0\0IEND\xaeB`\x82";
const THUMB: &str = "👍";
/// How many events are asked for when one is looked for on a page.
const PAGE: u32 = 100;

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

/// With classic sync the homeserver counts. With sliding sync the SDK does, from what it can decrypt.
fn unread(person: &Person, room: &Room) -> u64 {
    if person.sliding {
        room.num_unread_messages()
    } else {
        room.unread_notification_counts().notification_count
    }
}

/// A room as both see it.
struct Views {
    room: Room,
    ours: Timeline,
    their_room: Room,
    theirs: Timeline,
}

/// Both say hello, and everything else that one does with messages.
pub async fn talk(steps: &mut Steps, bob: &Person, room: &Room) -> Option<()> {
    let views = steps
        .step("open the room on both devices", async {
            let their_room = bob.room(room.room_id())?;
            Ok(Views {
                room: room.clone(),
                ours: room.timeline().await?,
                theirs: their_room.timeline().await?,
                their_room,
            })
        })
        .await?;
    let hello = greet(steps, bob, &views).await?;
    relate(steps, bob, &views, &hello).await;
    live(steps, &views).await;
    picture(steps, bob, &views).await;
    steps
        .step("the homeserver's history has it, readable", async {
            past(room, hello.event_id().context("no event id")?).await
        })
        .await;
    Some(())
}

/// Hello, read, hello; gives the first one as Bob sees it.
async fn greet(steps: &mut Steps, bob: &Person, views: &Views) -> Option<EventTimelineItem> {
    let hello = steps
        .step("a message arrives and was encrypted", async {
            let content = RoomMessageEventContent::text_plain("hello bob");
            let sent = views.room.send(content).await?;
            ensure!(sent.encryption_info.is_some(), "it was sent in the clear");
            let seen = until(|| find(&views.theirs, "hello bob")).await?;
            let id = Some(&*sent.response.event_id);
            ensure!(seen.event_id() == id, "it has another event id");
            ensure!(seen.encryption_info().is_some(), "it was not encrypted");
            Ok(seen)
        })
        .await?;
    let count = || unread(bob, &views.their_room);
    let counted = until(|| async { (count() >= 1).then_some(()) });
    steps.step("unread messages are counted", counted).await;
    steps
        .step("reading sets the count to nothing", async {
            views.theirs.mark_as_read(ReceiptType::Read).await?;
            until(|| async { (count() == 0).then_some(()) }).await
        })
        .await;
    let read = |event: &EventTimelineItem| event.read_receipts().contains_key(&bob.id);
    let seen = until(|| item(&views.ours, read));
    steps.step("the receipt is seen", seen).await;
    steps
        .step("an answer comes back", async {
            let content = RoomMessageEventContent::text_plain("hello alice");
            views.their_room.send(content).await?;
            until(|| find(&views.ours, "hello alice")).await
        })
        .await;
    Some(hello)
}

/// The homeserver gives back an event, alone and on a page, and it can be decrypted.
async fn past(room: &Room, hello: &EventId) -> Result<()> {
    let alone = room.event(hello, None).await?;
    ensure!(alone.encryption_info().is_some(), "it was not decrypted");
    let mut options = MessagesOptions::backward();
    options.limit = PAGE.into();
    let page = room.messages(options).await?.chunk;
    let found = page
        .iter()
        .find(|event| event.event_id().as_deref() == Some(hello))
        .context("it is not on the page")?;
    ensure!(
        found.encryption_info().is_some(),
        "it was not decrypted on the page"
    );
    Ok(())
}

/// Reaction, edit, thread, redaction.
async fn relate(steps: &mut Steps, bob: &Person, views: &Views, hello: &EventTimelineItem) {
    let Views {
        room,
        ours,
        their_room,
        theirs,
    } = views;
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
            their_room.send(content).await?;
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
}

/// What passes and is kept nowhere.
async fn live(steps: &mut Steps, views: &Views) {
    let room = &views.room;
    steps
        .step("typing is seen", async {
            let (_guard, mut typing) = views.their_room.subscribe_to_typing_notifications();
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
}

/// An image that the homeserver cannot see either.
async fn picture(steps: &mut Steps, bob: &Person, views: &Views) {
    steps
        .step("an encrypted image up and down", async {
            let kind = "image/png".parse()?;
            views
                .room
                .send_attachment("dot.png", &kind, PICTURE.to_vec(), AttachmentConfig::new())
                .await?;
            let seen = until(|| find(&views.theirs, "dot.png")).await?;
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
