//! An event's content as an attachment.
//!
//! Specification: [pictures](https://spec.matrix.org/latest/client-server-api/#mimage), [files](https://spec.matrix.org/latest/client-server-api/#mfile),
//! [stickers](https://spec.matrix.org/latest/client-server-api/#msticker). What stands beside them is believed as far as it is of the right type.

use ruma::OwnedMxcUri;
use serde_json::Value;

use crate::{
    journal::{Attachment, AttachmentKind},
    matrix::RoutedKind,
    turns::envelope::one_line,
};

/// The longest name that is kept, in characters.
const NAME_CHARS_MAX: usize = 255;
/// The longest type that is kept, in characters.
const MIMETYPE_CHARS_MAX: usize = 100;
/// What a file may say that it is to be taken for a picture.
const PICTURES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/// What came with an event of this type, if it can be shown to an agent. `edited`: as an edit has it.
pub(in crate::turns) fn attachment_of(
    event_type: &str,
    content: &str,
    edited: bool,
) -> Option<Attachment> {
    let content: Value = serde_json::from_str(content).ok()?;
    let content = if edited {
        &content["m.new_content"]
    } else {
        &content
    };
    let info = &content["info"];
    let mimetype = info["mimetype"].as_str();
    let kind = match content["msgtype"].as_str() {
        _ if event_type == RoutedKind::Sticker.event_type() => AttachmentKind::Picture,
        Some("m.image") => AttachmentKind::Picture,
        Some("m.file") if mimetype.is_some_and(|one| PICTURES.contains(&one)) => {
            AttachmentKind::Picture
        }
        Some("m.file") => AttachmentKind::File,
        Some("m.audio") => AttachmentKind::Audio,
        _ => return None,
    };
    let name = content["filename"].as_str();
    let name = name.or_else(|| content["body"].as_str()).unwrap_or("?");
    let uri = content["url"].as_str().map(OwnedMxcUri::from);
    let dimensions = info["w"].as_u64().zip(info["h"].as_u64());
    Some(Attachment {
        kind,
        uri: uri.filter(|uri| uri.is_valid()),
        name: cut(name, NAME_CHARS_MAX),
        mimetype: mimetype.map(|mimetype| cut(mimetype, MIMETYPE_CHARS_MAX)),
        size: info["size"].as_u64(),
        dimensions,
        is_refused: false,
    })
}

fn cut(text: &str, chars_max: usize) -> String {
    one_line(&text.chars().take(chars_max).collect::<String>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(event_type: &str, content: &Value) -> Option<Attachment> {
        attachment_of(event_type, &content.to_string(), false)
    }

    #[test]
    fn pictures_stickers_and_files_are_attachments() {
        let info = json!({ "mimetype": "image/png", "size": 67, "w": 8, "h": 9 });
        let url = "mxc://x/y";
        let image = json!({ "msgtype": "m.image", "body": "My cat", "filename": "cat\n.png", "url": url, "info": info });
        let image = read("m.room.message", &image).expect("a picture");
        assert_eq!((&*image.name, image.size), ("cat .png", Some(67)));
        assert_eq!(image.dimensions, Some((8, 9)));
        assert!(image.is_picture() && image.uri.is_some());
        let sticker = read("m.sticker", &json!({ "body": "waves", "url": url }));
        assert!(sticker.expect("a sticker").is_picture());
        let shown = json!({ "msgtype": "m.file", "body": "a.png", "url": url, "info": info });
        assert!(read("m.room.message", &shown).expect("a file").is_picture());
        let file = json!({ "msgtype": "m.file", "body": "a.rs", "url": url });
        assert!(!read("m.room.message", &file).expect("a file").is_picture());
        for other in [
            json!({ "msgtype": "m.text", "body": "hi" }),
            json!({ "msgtype": "m.video", "body": "a.mp4", "url": url }),
            json!([]),
        ] {
            assert_eq!(read("m.room.message", &other), None);
        }
    }

    #[test]
    fn strange_facts_and_addresses_cost_only_themselves() {
        let strange = json!({
            "msgtype": "m.image", "body": 7, "url": "https://elsewhere.test/x.png",
            "info": { "mimetype": 1, "size": -1, "w": "8", "h": 9 },
        });
        let strange = read("m.room.message", &strange).expect("a picture");
        assert_eq!(strange.uri, None, "only the homeserver is asked");
        assert_eq!((&*strange.name, strange.size), ("?", None));
        assert_eq!((strange.mimetype, strange.dimensions), (None, None));
        let encrypted =
            json!({ "msgtype": "m.image", "body": "a.png", "file": { "url": "mxc://x/y" } });
        assert_eq!(read("m.room.message", &encrypted).unwrap().uri, None);
    }

    #[test]
    fn edit_has_the_attachment_of_its_new_content() {
        let edit = json!({
            "msgtype": "m.text", "body": "* new words",
            "m.new_content": { "msgtype": "m.image", "body": "new words", "filename": "a.png", "url": "mxc://x/y" },
        });
        let edited = attachment_of("m.room.message", &edit.to_string(), true);
        assert_eq!(edited.expect("a picture").name, "a.png");
    }
}
