//! Speech as text, by an OpenAI-compatible server.
//!
//! It knows nothing of Matrix and of Letta: bytes and their type go in, words come out. Who speaks and who listens is for `turns`.
//!
//! Source: <https://platform.openai.com/docs/api-reference/audio/createTranscription>, which whisper.cpp, faster-whisper and vLLM serve too.

use std::{fmt::Write as _, time::Duration};

use bytes::Bytes;
use http::{StatusCode, header};
use reqwest::Client;
use serde::Deserialize;
use settings::Secret;
use url::Url;

use crate::config;

/// How long to wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a transcription may take, from the request to the last word.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(2);
/// The longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// How much of a file's name is sent, in characters.
const NAME_CHARS_MAX: usize = 64;
/// Types of audio, and the ending of the name by which servers know them.
const ENDINGS: [(&str, &str); 8] = [
    ("audio/aac", "m4a"),
    ("audio/flac", "flac"),
    ("audio/mp4", "m4a"),
    ("audio/mpeg", "mp3"),
    ("audio/ogg", "ogg"),
    ("audio/wav", "wav"),
    ("audio/webm", "webm"),
    ("audio/x-wav", "wav"),
];

/// Why there is no text.
#[derive(Debug, thiserror::Error)]
pub enum TranscriptionError {
    /// The server cannot be reached, or was too slow.
    #[error("cannot reach the transcription server")]
    Unreachable(#[source] reqwest::Error),
    /// It has refused.
    #[error("the transcription server refused with {0}")]
    Refused(StatusCode),
    /// Its answer is no text, or too long.
    #[error("cannot understand the answer of the transcription server")]
    Answer,
}

/// A server that turns speech into text.
pub struct Transcriber {
    http: Client,
    endpoint: Url,
    api_key: Option<Secret>,
    model: String,
    language: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    text: String,
}

impl Transcriber {
    /// The server of this configuration; `None` if there is none. Nothing is sent yet.
    pub fn new(config: &config::Transcription) -> Result<Option<Self>, TranscriptionError> {
        let Some(mut endpoint) = config.url.clone() else {
            return Ok(None);
        };
        if let Ok(mut path) = endpoint.path_segments_mut() {
            path.pop_if_empty().extend(["audio", "transcriptions"]);
        }
        // The first one wins; a second one is the same.
        drop(rustls::crypto::ring::default_provider().install_default());
        #[expect(
            clippy::disallowed_methods,
            reason = "this is where the client for transcriptions is made"
        )]
        let http = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(unreachable)?;
        Ok(Some(Self {
            http,
            endpoint,
            api_key: config.api_key.clone(),
            model: config.model.clone(),
            language: config.language.clone(),
        }))
    }

    /// What is said in a file. May be nothing.
    pub async fn transcribe(
        &self,
        name: &str,
        mimetype: Option<&str>,
        audio: &Bytes,
    ) -> Result<String, TranscriptionError> {
        let boundary = format!("audio-{:032x}", rand::random::<u128>());
        let kind = format!("multipart/form-data; boundary={boundary}");
        let mut request = self
            .http
            .post(self.endpoint.clone())
            .header(header::CONTENT_TYPE, kind)
            .body(self.form(&boundary, &file_name(name, mimetype), audio));
        if let Some(key) = &self.api_key {
            request = request.bearer_auth(key.expose());
        }
        let mut response = request.send().await.map_err(unreachable)?;
        if !response.status().is_success() {
            return Err(TranscriptionError::Refused(response.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(TranscriptionError::Answer);
            }
            body.extend_from_slice(&chunk);
        }
        let answer: Answer =
            serde_json::from_slice(&body).map_err(|_| TranscriptionError::Answer)?;
        Ok(answer.text.trim().to_owned())
    }

    fn form(&self, boundary: &str, name: &str, audio: &Bytes) -> Vec<u8> {
        let mut head = String::new();
        let fields = [
            ("model", Some(self.model.as_str())),
            ("language", self.language.as_deref()),
            ("response_format", Some("json")),
        ];
        for (field, value) in fields {
            if let Some(value) = value {
                let _ = write!(
                    head,
                    "--{boundary}\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{value}\r\n"
                );
            }
        }
        let _ = write!(
            head,
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        let end = format!("\r\n--{boundary}--\r\n");
        [head.as_bytes(), audio, end.as_bytes()].concat()
    }
}

/// A name that cannot end its header, and whose ending says what the file is.
fn file_name(name: &str, mimetype: Option<&str>) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') {
            c
        } else {
            '_'
        }
    };
    let mimetype = mimetype.map(|mimetype| mimetype.split(';').next().unwrap_or(mimetype).trim());
    let ending = ENDINGS
        .iter()
        .find(|(known, _)| Some(*known) == mimetype)
        .map(|(_, ending)| *ending);
    let name: String = name.chars().take(NAME_CHARS_MAX).map(plain).collect();
    match ending {
        Some(ending) if !name.ends_with(&format!(".{ending}")) => format!("{name}.{ending}"),
        _ => name,
    }
}

/// The address is the admin's; still it does not belong into an error that a room may cause.
fn unreachable(error: reqwest::Error) -> TranscriptionError {
    TranscriptionError::Unreachable(error.without_url())
}

#[cfg(test)]
mod tests;
