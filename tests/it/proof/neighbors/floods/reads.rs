//! Reading as much as there is: syncs, searches, pages, directories, previews.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::rooms::posts;
use crate::proof::account::{Account, part};
use crate::proof::neighbors::flood::{Answer, Round, round};
use crate::proof::neighbors::stage::{Stage, body};
use crate::proof::room_of;

/// How many people more are in the user directory of a measurement.
const CROWD: usize = 60;
/// How many messages are sent at once while a room is filled.
const SENT_AT_ONCE: usize = 8;
/// How long every second page takes that is to be previewed, in milliseconds: usually, and in a measurement.
const SLOW_PAGE_MS: [usize; 2] = [50, 5_000];

/// One account whose syncs walk through all its rooms: with an old token, from the beginning, and as a sliding sync.
pub async fn syncs(stage: Arc<Stage>) -> Round {
    let busy = Account::register(&stage.url, "busy").await;
    let first = busy.get("/_matrix/client/v3/sync?timeout=0").await;
    let old = part(first["next_batch"].as_str().expect("a token"));
    for _ in 0..stage.rooms {
        room_of(&[&busy]).await;
    }
    let list =
        json!({ "ranges": [[0, 100_000]], "timeline_limit": 10, "required_state": [["*", "*"]] });
    round(move |task, _| {
        let (busy, since) = (busy.clone(), format!("&since={old}"));
        let content = json!({ "conn_id": task.to_string(), "lists": { "all": list } });
        async move {
            let since = if task % 3 == 0 { since.as_str() } else { "" };
            let sync = format!("/_matrix/client/v3/sync?timeout=0{since}");
            let sliding = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";
            let answer = match task % 3 {
                2 => busy.send_bytes(Method::POST, sliding, body(&content)).await,
                _ => busy.send_bytes(Method::GET, &sync, Bytes::new()).await,
            };
            Answer::of(&answer)
        }
    })
}

/// A room with many messages.
async fn large_room(stage: &Stage) -> String {
    let room = stage.room_of_attackers().await;
    let numbers: Vec<_> = (0..stage.size(20, 2_000)).collect();
    for some in numbers.chunks(SENT_AT_ONCE) {
        let sending = some.iter().map(|number| {
            let path = format!(
                "/_matrix/client/v3/rooms/{}/send/m.room.message/large-{number}",
                part(&room)
            );
            async move {
                let content =
                    json!({ "msgtype": "m.text", "body": format!("hello world {number}") });
                stage.attacker(*number).put(&path, &content).await
            }
        });
        join_all(sending).await;
    }
    room
}

/// Searches for what every message has.
pub async fn searches(stage: Arc<Stage>) -> Round {
    large_room(&stage).await;
    let context = json!({ "before_limit": 20, "after_limit": 20, "include_profile": true });
    let search = json!({ "search_categories": { "room_events": {
        "search_term": "hello world", "order_by": "rank", "event_context": context,
        "filter": { "limit": 100 }, "include_state": true,
    } } });
    posts(stage, "/_matrix/client/v3/search", &search)
}

/// Pages of a large room on which nothing passes the filter.
pub async fn pages(stage: Arc<Stage>) -> Round {
    let room = part(&large_room(&stage).await);
    let filter = part(r#"{"types":["nothing"]}"#);
    let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=1000&filter={filter}");
    round(move |task, _| {
        let (stage, path) = (stage.clone(), path.clone());
        async move { stage.fire(task, Method::GET, &path, Bytes::new()).await }
    })
}

/// Searches for people, by a letter that everybody has.
pub async fn user_directory(stage: Arc<Stage>) -> Round {
    for number in 0..stage.size(0, CROWD) {
        Account::register(&stage.url, &format!("crowd{number}")).await;
    }
    let search = json!({ "search_term": "a", "limit": 50 });
    posts(stage, "/_matrix/client/v3/user_directory/search", &search)
}

/// Searches the directory of rooms for what is not there.
pub async fn public_rooms(stage: Arc<Stage>) -> Round {
    for number in 0..stage.size(5, 300) {
        let room =
            json!({ "visibility": "public", "name": format!("room {number}"), "topic": "much" });
        stage
            .attacker(number)
            .post("/_matrix/client/v3/createRoom", &room)
            .await;
    }
    let search = json!({ "limit": 500, "filter": { "generic_search_term": "nothing" } });
    posts(stage, "/_matrix/client/v3/publicRooms", &search)
}

/// Previews of pages that are large, and of pages that do not come.
pub async fn previews(stage: Arc<Stage>) -> Round {
    let pages = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = pages.local_addr().expect("an address").port();
    let wait = stage.size(SLOW_PAGE_MS[0], SLOW_PAGE_MS[1]);
    let wait = Duration::from_millis(u64::try_from(wait).expect("small"));
    tokio::spawn(async move {
        let mut number = 0_usize;
        while let Ok((stream, _)) = pages.accept().await {
            number += 1;
            let wait = wait * u32::from(number.is_multiple_of(2));
            tokio::spawn(page(stream, wait));
        }
    });
    round(move |task, number| {
        let stage = stage.clone();
        let url = part(&format!("http://127.0.0.1:{port}/{task}-{number}"));
        let path = format!("/_matrix/client/v1/media/preview_url?url={url}");
        async move { stage.fire(task, Method::GET, &path, Bytes::new()).await }
    })
}

/// A double of a web server.
async fn page(mut stream: TcpStream, wait: Duration) {
    let _ = stream.read(&mut [0; 4_096]).await;
    tokio::time::sleep(wait).await;
    let text = format!(
        "<html><head><title>much</title><meta property=\"og:title\" content=\"much\"></head><body>{}</body></html>",
        "<p class='a'>text</p>".repeat(20_000)
    );
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        text.len()
    );
    drop(stream.write_all(format!("{head}{text}").as_bytes()).await);
}
