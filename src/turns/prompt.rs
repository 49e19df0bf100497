//! What an agent reads of a person's message.
//!
//! Nothing is dropped in silence: what is not text is described.

use letta_client::{Prompt, Speaker};
use ruma::{
    events::room::message::{MessageType, RoomMessageEventContent},
    html::{HtmlSanitizerMode, RemoveReplyFallback},
};

use crate::journal::QueuedPrompt;

/// The text of a message.
pub fn text_of(message: &MessageType) -> String {
    match message {
        MessageType::Text(text) => text.body.clone(),
        MessageType::Emote(emote) => format!("* {}", emote.body),
        MessageType::Image(image) => attached("image", image.filename(), image.caption()),
        MessageType::File(file) => attached("file", file.filename(), file.caption()),
        MessageType::Audio(audio) => attached("audio", audio.filename(), audio.caption()),
        MessageType::Video(video) => attached("video", video.filename(), video.caption()),
        MessageType::Location(place) => format!("[location: {} {}]", place.body, place.geo_uri),
        other => other.body().to_owned(),
    }
}

fn attached(kind: &str, name: &str, caption: Option<&str>) -> String {
    match caption {
        Some(caption) => format!("[{kind}: {name}]\n{caption}"),
        None => format!("[{kind}: {name}]"),
    }
}

/// Takes away the quoted text that older clients put before a reply.
pub(super) fn remove_reply_fallback(content: &mut RoomMessageEventContent) {
    let fallback = match content.relates_to {
        Some(_) => RemoveReplyFallback::Yes,
        None => RemoveReplyFallback::No,
    };
    content.sanitize(HtmlSanitizerMode::Compat, fallback);
}

/// A queued prompt as the agent gets it. In a room with several people it begins with who speaks,
/// because a model is not told of anything but the text.
pub fn for_letta(prompt: &QueuedPrompt, shared: bool) -> Prompt {
    let text = if shared {
        format!("{}: {}", prompt.sender, prompt.text)
    } else {
        prompt.text.clone()
    };
    Prompt {
        key: prompt.event_id.to_string(),
        text,
        speaker: Some(Speaker {
            name: prompt.sender.localpart().to_owned(),
            id: prompt.sender.to_string(),
        }),
    }
}
