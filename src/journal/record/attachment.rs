//! What came with a message besides its words: where it is and what is said of it, never its bytes.

use ruma::OwnedMxcUri;
use serde::{Deserialize, Serialize};

use super::QueuedPrompt;

/// A file that somebody has shown to an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// What it was sent as.
    pub kind: AttachmentKind,
    /// Where it is; `None`: nowhere where it can be had, as that of an encrypted one.
    #[serde(default)]
    pub uri: Option<OwnedMxcUri>,
    /// How its sender calls it.
    pub name: String,
    /// What its sender says it is.
    #[serde(default)]
    pub mimetype: Option<String>,
    /// How large its sender says it is, in bytes.
    #[serde(default)]
    pub size: Option<u64>,
    /// How wide and how high its sender says it is, in pixels.
    #[serde(default)]
    pub dimensions: Option<(u64, u64)>,
    /// The agent's model has refused it: it is told of, and not shown again.
    #[serde(default)]
    pub is_refused: bool,
}

/// What a file was sent as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttachmentKind {
    /// A picture, or a sticker.
    Picture,
    /// A voice message, or other audio.
    Audio,
    /// Any file.
    File,
}

/// The largest file whose words an agent is given, in bytes.
pub const TEXT_FILE_BYTES_MAX: usize = 256 * 1024;

impl QueuedPrompt {
    /// How many bytes of words the file that came with it may add at most, as far as its sender says; without a word of it the most
    /// that any file adds.
    pub fn file_bytes(&self) -> usize {
        let file = self
            .attachment
            .as_ref()
            .filter(|one| one.kind == AttachmentKind::File);
        let size = file.and_then(|file| {
            let size = file.size.unwrap_or(TEXT_FILE_BYTES_MAX as u64);
            usize::try_from(size).ok()
        });
        size.filter(|size| *size <= TEXT_FILE_BYTES_MAX)
            .unwrap_or(0)
    }
}

impl Attachment {
    /// Whether it is a picture.
    pub fn is_picture(&self) -> bool {
        self.kind == AttachmentKind::Picture
    }
}
