//! How speech becomes text: whom to ask, and with which model.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};
use settings::Secret;
use url::Url;

use super::http_url;

/// Voice messages and other audio as text, by an OpenAI-compatible server.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Transcription {
    /// The API, for example `https://api.openai.com/v1`, or that of a server of your own. Nothing is transcribed without it:
    /// agents are then told that there is a voice message, and not what is said in it.
    #[serde(deserialize_with = "http_url_if_any")]
    #[schemars(with = "Option<String>")]
    pub url: Option<Url>,
    /// The key for it, if it wants one.
    #[serde(with = "settings::secret::in_file_if_any")]
    #[schemars(with = "Option<Secret>")]
    pub api_key: Option<Secret>,
    /// The model that listens.
    pub model: String,
    /// The language that people speak, as two letters. Without it the model finds out by itself.
    pub language: Option<String>,
}

impl Default for Transcription {
    fn default() -> Self {
        Self {
            url: None,
            api_key: None,
            model: "whisper-1".to_owned(),
            language: None,
        }
    }
}

fn http_url_if_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let url = http_url::parse(&text).ok_or_else(|| {
        de::Error::custom(format_args!(
            "expected an address that begins with `http://` or `https://`, got {text:?}"
        ))
    })?;
    Ok(Some(url))
}
