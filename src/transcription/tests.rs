//! A scripted transcription server on loopback: it says what it was sent.

use std::sync::{Arc, Mutex};

use axum::{Router, http::HeaderMap, response::IntoResponse, routing::post};

use super::*;

type Seen = Arc<Mutex<Vec<(HeaderMap, String)>>>;

/// A server that answers so. What it was sent is in the list.
async fn server(status: u16, answer: &'static str) -> (Transcriber, Seen) {
    let seen = Seen::default();
    let requests = Arc::clone(&seen);
    let listen = move |headers: HeaderMap, body: Bytes| {
        let body = String::from_utf8_lossy(&body).into_owned();
        requests.lock().unwrap().push((headers, body));
        async move { (StatusCode::from_u16(status).unwrap(), answer).into_response() }
    };
    let router = Router::new().route("/v1/audio/transcriptions", post(listen));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let config = config::Transcription {
        url: Some(url.parse().unwrap()),
        api_key: Some(Secret::new("sekrit")),
        language: Some("de".to_owned()),
        ..config::Transcription::default()
    };
    (Transcriber::new(&config).unwrap().unwrap(), seen)
}

#[tokio::test]
async fn audio_is_sent_as_a_form_and_its_words_come_back() {
    let (transcriber, seen) = server(200, r#"{"text":" Guten Tag \n","task":"x"}"#).await;
    let audio = Bytes::from_static(b"OggS and words");
    let words = transcriber
        .transcribe("a \"b\"\r\nc", Some("audio/ogg; codecs=opus"), &audio)
        .await;
    assert_eq!(words.unwrap(), "Guten Tag");
    let (headers, body) = seen.lock().unwrap().remove(0);
    assert_eq!(headers["authorization"], "Bearer sekrit");
    let boundary = headers["content-type"].to_str().unwrap().rsplit('=');
    let boundary = boundary.into_iter().next().unwrap();
    insta::assert_snapshot!(body.replace(boundary, "BOUNDARY").replace("\r\n", "\n"), @r#"
    --BOUNDARY
    Content-Disposition: form-data; name="model"

    whisper-1
    --BOUNDARY
    Content-Disposition: form-data; name="language"

    de
    --BOUNDARY
    Content-Disposition: form-data; name="response_format"

    json
    --BOUNDARY
    Content-Disposition: form-data; name="file"; filename="a__b___c.ogg"
    Content-Type: application/octet-stream

    OggS and words
    --BOUNDARY--
    "#);
}

#[tokio::test]
async fn what_is_no_text_is_an_error() {
    let audio = Bytes::from_static(b"OggS");
    for (status, answer, expected) in [
        (401, "{}", "refused with 401 Unauthorized"),
        (200, "<html>", "cannot understand"),
        (200, r#"{"text":null}"#, "cannot understand"),
    ] {
        let (transcriber, _) = server(status, answer).await;
        let error = transcriber.transcribe("a.ogg", None, &audio).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let nobody = config::Transcription {
        url: Some("http://127.0.0.1:1/v1".parse().unwrap()),
        ..config::Transcription::default()
    };
    let transcriber = Transcriber::new(&nobody).unwrap().unwrap();
    let error = transcriber.transcribe("a.ogg", None, &audio).await;
    assert!(matches!(error, Err(TranscriptionError::Unreachable(_))));
    assert!(
        Transcriber::new(&config::Transcription::default())
            .unwrap()
            .is_none()
    );
}
