//! Files fetched from a scripted homeserver.

use bytes::Bytes;
use image::{DynamicImage, ImageFormat, RgbImage};

use super::*;
use crate::matrix::scripted_homeserver::{Fault, ScriptedHomeserver};

fn attachment(kind: AttachmentKind, id: &str) -> Attachment {
    Attachment {
        kind,
        uri: Some(format!("mxc://house.test/{id}").into()),
        name: "a.txt".to_owned(),
        mimetype: None,
        size: None,
        dimensions: None,
        is_refused: false,
    }
}

fn png() -> Bytes {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let picture = DynamicImage::ImageRgb8(RgbImage::new(8, 8));
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner().into()
}

async fn not_shown(homeserver: &ScriptedHomeserver, attachment: &Attachment) -> NotShown {
    let attachments = Attachments::new(homeserver.client(), None);
    match attachments.load(attachment).await {
        LoadedAttachment::NotShown(why) => why,
        shown => panic!("{shown:?}"),
    }
}

#[tokio::test]
async fn picture_and_text_are_fetched_with_the_token() {
    let homeserver = ScriptedHomeserver::default();
    homeserver.upload("red", png());
    homeserver.upload("notes", Bytes::from_static(b"hello"));
    let client = homeserver.client();
    client.check_versions().await.unwrap();
    let attachments = Attachments::new(client, None);
    let red = attachment(AttachmentKind::Picture, "red");
    let LoadedAttachment::Picture(image) = attachments.load(&red).await else {
        panic!("no picture")
    };
    assert_eq!((&*image.mimetype, &image.bytes), ("image/png", &png()));
    let notes = attachment(AttachmentKind::File, "notes");
    let LoadedAttachment::Words(words) = attachments.load(&notes).await else {
        panic!("no words")
    };
    assert_eq!(words, "```text\nhello\n```");
    for request in homeserver.requests().iter().skip(1) {
        assert_eq!(request.authorization.as_deref(), Some("Bearer as-secret"));
    }
}

#[tokio::test]
async fn file_that_cannot_be_had_is_not_shown() {
    use AttachmentKind::{Audio, File, Picture};
    let homeserver = ScriptedHomeserver::default();
    homeserver.upload("large", vec![b'a'; TEXT_FILE_BYTES_MAX + 1].into());
    homeserver.upload("zip", Bytes::from_static(b"PK\x03\x04\0"));
    homeserver.upload("huge", vec![0; PICTURE_DOWNLOAD_BYTES_MAX + 1].into());
    for (kind, id, why) in [
        (File, "large", NotShown::NoText),
        (File, "zip", NotShown::NoText),
        (Picture, "zip", NotShown::Unreadable),
        (Picture, "gone", NotShown::Missing),
        (Audio, "zip", NotShown::NoTranscription),
    ] {
        let told = not_shown(&homeserver, &attachment(kind, id)).await;
        assert_eq!(told, why, "{id}");
    }
    let too_large = NotShown::TooLarge {
        bytes_max: PICTURE_DOWNLOAD_BYTES_MAX,
    };
    let huge = attachment(Picture, "huge");
    assert_eq!(not_shown(&homeserver, &huge).await, too_large);
    let asked = homeserver.requests().len();
    let says_so = Attachment {
        size: Some(u64::MAX),
        ..attachment(Picture, "red")
    };
    assert_eq!(not_shown(&homeserver, &says_so).await, too_large);
    let encrypted = Attachment {
        uri: None,
        ..attachment(Picture, "red")
    };
    let told = not_shown(&homeserver, &encrypted).await;
    assert_eq!(told, NotShown::Encrypted);
    assert_eq!(homeserver.requests().len(), asked, "nothing was asked for");
}

#[tokio::test(start_paused = true)]
async fn homeserver_that_is_away_is_asked_so_often_and_no_more() {
    let homeserver = ScriptedHomeserver::default();
    homeserver.upload("red", png());
    homeserver.fails("/download/", vec![Fault::Unreached; 5]);
    let red = attachment(AttachmentKind::Picture, "red");
    let told = not_shown(&homeserver, &red).await;
    assert_eq!(told, NotShown::Unreachable);
    assert_eq!(homeserver.asked_for("/download/"), 5);
}

#[tokio::test]
async fn old_and_new_media_endpoints_are_asked_by_what_the_homeserver_knows() {
    let homeserver = ScriptedHomeserver::default();
    homeserver.upload("red", png());
    let red = ruma::mxc_uri!("mxc://house.test/red");
    let unrecognized = serde_json::json!({ "errcode": "M_UNRECOGNIZED", "error": "no such path" });
    let (old, new) = (
        "/_matrix/media/v3/download/house.test/red",
        "/_matrix/client/v1/media/download/house.test/red",
    );
    // Nothing is known of it yet: it is taken for an old one.
    homeserver.client().download(red, 1_000).await.unwrap();
    assert_eq!(
        (homeserver.asked_for(old), homeserver.asked_for(new)),
        (1, 0)
    );
    let client = homeserver.client();
    client.check_versions().await.unwrap();
    client.download(red, 1_000).await.unwrap();
    assert_eq!(
        (homeserver.asked_for(old), homeserver.asked_for(new)),
        (1, 1)
    );
    homeserver.fails(new, [Fault::Answer(404, unrecognized)]);
    client.download(red, 1_000).await.unwrap();
    assert_eq!(
        (homeserver.asked_for(old), homeserver.asked_for(new)),
        (2, 2)
    );
    let error = client.download(red, 10).await.unwrap_err();
    assert!(error.is_too_large(), "{error}");
}

#[test]
fn models_that_refuse_pictures_are_remembered_within_a_limit() {
    let attachments = Attachments::new(ScriptedHomeserver::default().client(), None);
    let agent: AgentId = "agent-1".parse().unwrap();
    attachments.set_blind(&agent, Some("openai/old"));
    assert!(attachments.is_blind(&agent, Some("openai/old")));
    assert!(!attachments.is_blind(&agent, Some("openai/new")));
    for number in 0..=BLIND_MODELS_MAX {
        attachments.set_blind(&agent, Some(&number.to_string()));
        assert!(attachments.blind().len() <= BLIND_MODELS_MAX);
    }
}
