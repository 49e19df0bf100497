//! People without a token, from many addresses: logins that nobody waits for, guesses, registrations.

use std::sync::Arc;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;

use crate::proof::account::PASSWORD;
use crate::proof::neighbors::flood::{Answer, Round, round};
use crate::proof::neighbors::stage::{Stage, address, body};

const ABANDONING: u8 = 8;
const GUESSING: u8 = 9;
const REGISTERING: u8 = 10;

/// Logins whose connections close at once.
pub async fn abandoned_logins(stage: Arc<Stage>) -> Round {
    let at = stage.at;
    let user = &stage.attackers[1].user_id;
    let login = json!({
        "type": "m.login.password", "password": PASSWORD,
        "identifier": { "type": "m.id.user", "user": user },
    })
    .to_string();
    let request = format!(
        "POST /_matrix/client/v3/login HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{login}",
        login.len()
    );
    round(move |task, number| {
        let request = request.clone();
        async move {
            let writing = async {
                let socket = TcpSocket::new_v4()?;
                socket.bind((address(ABANDONING, task * 31 + number), 0).into())?;
                let mut stream = socket.connect(at).await?;
                stream.write_all(request.as_bytes()).await
            };
            // Nobody reads what is answered.
            drop(writing.await);
            Answer::None
        }
    })
}

/// Wrong passwords, of accounts that are there and that are not, from many addresses.
pub async fn guesses(stage: Arc<Stage>) -> Round {
    let strangers = Stage::strangers(GUESSING, stage.size(4, 64));
    round(move |task, number| {
        let stage = stage.clone();
        let stranger = strangers[task % strangers.len()].clone();
        async move {
            let user = match number % 2 {
                0 => stage.attacker(number / 2).user_id.clone(),
                _ => format!("nobody{task}-{number}"),
            };
            let guess = json!({
                "type": "m.login.password", "password": format!("guess {number}"),
                "identifier": { "type": "m.id.user", "user": user },
            });
            let path = "/_matrix/client/v3/login";
            stage.fire_unknown(&stranger, path, body(&guess)).await
        }
    })
}

/// Registrations of accounts that nobody needs.
pub async fn registrations(stage: Arc<Stage>) -> Round {
    let strangers = Stage::strangers(REGISTERING, stage.size(2, 16));
    round(move |task, number| {
        let stage = stage.clone();
        let stranger = strangers[task % strangers.len()].clone();
        async move {
            let account = json!({
                "username": format!("one-more-{task}-{number}"), "password": PASSWORD,
                "auth": { "type": "m.login.dummy" },
            });
            let path = "/_matrix/client/v3/register";
            stage.fire_unknown(&stranger, path, body(&account)).await
        }
    })
}
