//! Much to read: logins without an end, pictures, files, account data.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use serde_json::json;

use super::picture::png;
use crate::proof::account::part;
use crate::proof::neighbors::flood::{Round, round};
use crate::proof::neighbors::stage::{Stage, body};

const STRANGERS: u8 = 7;
/// Sizes and methods of thumbnails: all that are made.
const WIDTHS: [usize; 5] = [32, 96, 320, 640, 800];
const METHODS: [&str; 2] = ["crop", "scale"];

/// Logins as long as a file may be, of very many small values, by somebody without a token.
pub async fn large_logins(stage: Arc<Stage>) -> Round {
    let values = stage.size(1 << 20, 24_600_000) / 3;
    let mut login = String::from(r#"{"type":"m.login.password","password":"x","rest":[[]"#);
    login.push_str(&",[]".repeat(values));
    login.push_str("]}");
    let login = Bytes::from(login);
    let strangers = Stage::strangers(STRANGERS, 2);
    round(move |task, _| {
        let (stage, login) = (stage.clone(), login.clone());
        let stranger = strangers[task % strangers.len()].clone();
        async move {
            let path = "/_matrix/client/v3/login";
            stage.fire_unknown(&stranger, path, login).await
        }
    })
}

/// Thumbnails of large pictures, each in all sizes.
pub async fn thumbnails(stage: Arc<Stage>) -> Round {
    let picture = png(u32::try_from(stage.size(200, 2_800)).expect("small"));
    let mut pictures = Vec::new();
    for number in 0..stage.size(1, 4) {
        let uploaded = stage.attacker(number).upload(picture.clone()).await;
        pictures.push(uploaded.expect("an upload"));
    }
    round(move |task, number| {
        let stage = stage.clone();
        let number = task + number * 50;
        let picture = &pictures[number % pictures.len()];
        let width = WIDTHS[number / pictures.len() % WIDTHS.len()];
        let method = METHODS[number / pictures.len() / WIDTHS.len() % METHODS.len()];
        let path = format!(
            "/_matrix/client/v1/media/thumbnail/{picture}?width={width}&height={width}&method={method}"
        );
        async move { stage.fire(task, Method::GET, &path, Bytes::new()).await }
    })
}

/// Uploads as fast as they are answered.
pub async fn uploads(stage: Arc<Stage>) -> Round {
    let file = Bytes::from(vec![b'x'; stage.size(10_000, 1 << 20)]);
    round(move |task, _| {
        let (stage, file) = (stage.clone(), file.clone());
        async move {
            let path = "/_matrix/media/v3/upload";
            stage.fire(task, Method::POST, path, file).await
        }
    })
}

/// Large account data, of which everybody's own syncs are full.
pub async fn account_data(stage: Arc<Stage>) -> Round {
    let text = "x".repeat(stage.size(10_000, 1_000_000));
    let contents = [1, 2].map(|number| body(&json!({ "text": text, "number": number })));
    round(move |task, number| {
        let (stage, content) = (stage.clone(), contents[number % 2].clone());
        let user = part(&stage.attacker(task).user_id);
        let path = format!("/_matrix/client/v3/user/{user}/account_data/flood");
        async move { stage.fire(task, Method::PUT, &path, content).await }
    })
}
