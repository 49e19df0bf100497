//! What a person says to an agent: text and pictures, and how requests hold them.
//!
//! A message of text alone is a string on the wire, as every server takes it; one with pictures is a list of parts. Pictures are
//! always sent with their bytes: what a server would have to fetch by itself, it may not be allowed to.

use base64::{display::Base64Display, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Serialize, Serializer};

/// One message of a person to an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// Identifies this message for ever; the server stores it as `otid`.
    pub key: String,
    /// What the person wrote and showed, in this order. At least one text.
    pub parts: Vec<Part>,
    /// Who wrote it.
    pub speaker: Option<Speaker>,
}

/// A piece of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Words.
    Text(String),
    /// A picture.
    Image(Image),
}

/// A picture that a model can read.
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    /// What it is, such as `image/png`.
    pub mimetype: String,
    /// The file, whole.
    pub bytes: Bytes,
}

/// Who speaks to an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Speaker {
    /// A short name. Providers limit what it may hold: a backend keeps `[A-Za-z0-9_-]` of it, at
    /// most 64 characters.
    pub name: String,
    /// The full id.
    pub id: String,
}

impl Prompt {
    /// A message of text alone, of nobody in particular.
    pub fn new(key: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            parts: vec![Part::Text(text.into())],
            speaker: None,
        }
    }

    /// All its words.
    pub fn text(&self) -> String {
        let texts = self.parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Image(_) => None,
        });
        texts.collect::<Vec<_>>().join("\n\n")
    }

    /// Whether there is a picture in it.
    pub fn has_images(&self) -> bool {
        let mut parts = self.parts.iter();
        parts.any(|part| matches!(part, Part::Image(_)))
    }
}

impl std::fmt::Debug for Image {
    /// Without the bytes.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Image({}, {} bytes)", self.mimetype, self.bytes.len())
    }
}

/// The content of a message in Letta's API: a string, or parts.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Content {
    Text(String),
    Parts(Vec<ContentPart>),
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum ContentPart {
    Text {
        text: String,
    },
    /// As Letta takes it.
    Image {
        source: ImageSource,
    },
    /// As `OpenAI` takes it.
    ImageUrl {
        image_url: ImageUrl,
    },
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct ImageSource {
    r#type: &'static str,
    media_type: String,
    data: Base64,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct ImageUrl {
    url: DataUrl,
}

/// Bytes that become base64 when they are written. A clone shares them.
#[derive(Clone, Debug)]
struct Base64(Bytes);

/// The same as a `data:` URL.
#[derive(Clone, Debug)]
struct DataUrl(Image);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&Base64Display::new(&self.0, &STANDARD))
    }
}

impl Serialize for DataUrl {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let data = Base64Display::new(&self.0.bytes, &STANDARD);
        to.collect_str(&format_args!("data:{};base64,{data}", self.0.mimetype))
    }
}

impl Content {
    /// A message as Letta takes it.
    pub(crate) fn for_letta(prompt: &Prompt) -> Self {
        if !prompt.has_images() {
            return Self::Text(prompt.text());
        }
        let image = |image: &Image| ContentPart::Image {
            source: ImageSource {
                r#type: "base64",
                media_type: image.mimetype.clone(),
                data: Base64(image.bytes.clone()),
            },
        };
        Self::Parts(prompt.parts.iter().map(|part| of(part, image)).collect())
    }

    /// Several messages as one, as `OpenAI` takes it.
    pub(crate) fn for_openai(prompts: &[Prompt]) -> Self {
        if !prompts.iter().any(Prompt::has_images) {
            let texts: Vec<_> = prompts.iter().map(Prompt::text).collect();
            return Self::Text(texts.join("\n\n"));
        }
        let image = |image: &Image| ContentPart::ImageUrl {
            image_url: ImageUrl {
                url: DataUrl(image.clone()),
            },
        };
        let parts = prompts.iter().flat_map(|prompt| &prompt.parts);
        Self::Parts(parts.map(|part| of(part, image)).collect())
    }
}

fn of(part: &Part, image: impl Fn(&Image) -> ContentPart) -> ContentPart {
    match part {
        Part::Text(text) => ContentPart::Text { text: text.clone() },
        Part::Image(one) => image(one),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(content: &Content) -> String {
        serde_json::to_string(content).unwrap()
    }

    #[test]
    fn text_alone_is_a_string_and_a_picture_is_a_part_beside_it() {
        let mut prompt = Prompt::new("$event", "look");
        let words = std::slice::from_ref(&prompt);
        assert_eq!(shown(&Content::for_letta(&prompt)), r#""look""#);
        assert_eq!(shown(&Content::for_openai(words)), r#""look""#);
        prompt.parts.push(Part::Image(Image {
            mimetype: "image/png".into(),
            bytes: Bytes::from_static(b"\x89PNG"),
        }));
        insta::assert_snapshot!(shown(&Content::for_letta(&prompt)), @r#"[{"type":"text","text":"look"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw=="}}]"#);
        let both = [Prompt::new("$before", "hello"), prompt];
        insta::assert_snapshot!(shown(&Content::for_openai(&both)), @r#"[{"type":"text","text":"hello"},{"type":"text","text":"look"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw=="}}]"#);
        assert_eq!(both[1].text(), "look");
        let debug = format!("{:?}", both[1]);
        assert!(debug.contains("Image(image/png, 4 bytes)"), "{debug}");
    }
}
