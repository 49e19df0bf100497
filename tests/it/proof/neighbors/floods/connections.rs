//! Peers that hold connections: half-open, idle, with heads and bodies that never end, with answers that nobody reads.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};

use crate::proof::account::part;
use crate::proof::neighbors::flood::{Answer, Round, round};
use crate::proof::neighbors::stage::{Stage, address};

const HELD: u8 = 4;
const SLOW: u8 = 5;
const READERS: u8 = 6;
/// How long a connection may take to come about: the system asks again after a second if there was no place in the queue.
const CONNECTED_WITHIN: Duration = Duration::from_secs(5);
/// Between two looks at the connections of one task, and between two bytes of a slow request.
const LOOK: Duration = Duration::from_millis(50);
/// What a reader takes before it stops reading, in bytes.
const RECEIVE_BUFFER: u32 = 4 << 10;

/// Connections of one address, and what is written to each first.
struct Peers {
    from: SocketAddr,
    at: SocketAddr,
    quota: usize,
    /// Whether one byte more is written to each in every round.
    dribbles: bool,
    open: Mutex<Vec<TcpStream>>,
}

impl Peers {
    fn of(
        stage: &Stage,
        network: u8,
        count: usize,
        quota: usize,
        dribbles: bool,
    ) -> Vec<Arc<Self>> {
        let one = |number| Self {
            from: (address(network, number), 0).into(),
            at: stage.at,
            quota,
            dribbles,
            open: Mutex::default(),
        };
        (0..count).map(|number| Arc::new(one(number))).collect()
    }

    async fn connect(&self) -> Option<TcpStream> {
        let socket = TcpSocket::new_v4().ok()?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER).ok()?;
        socket.bind(self.from).ok()?;
        let connecting = tokio::time::timeout(CONNECTED_WITHIN, socket.connect(self.at));
        connecting.await.ok()?.ok()
    }

    /// Opens what is missing, and lets go of what was closed. A byte that was read is lost.
    async fn hold(&self, opening: &[&[u8]]) -> Answer {
        let held = {
            let mut open = self.open.lock().expect("no panic");
            open.retain(|stream| {
                let dribbled = !self.dribbles || stream.try_write(b"a").is_ok();
                let gone = stream.try_read(&mut [0; 1]).is_ok_and(|read| read == 0);
                dribbled && !gone
            });
            open.len()
        };
        for number in held..self.quota {
            let Some(stream) = self.connect().await else {
                return Answer::None;
            };
            // All of it fits into the buffer of the socket.
            let _ = stream.try_write(opening[number % opening.len()]);
            self.open.lock().expect("no panic").push(stream);
        }
        tokio::time::sleep(LOOK).await;
        Answer::Done
    }
}

fn holding(peers: Vec<Arc<Peers>>, openings: Vec<Vec<u8>>) -> Round {
    let openings = Arc::new(openings);
    round(move |task, _| {
        let (peers, openings) = (peers[task % peers.len()].clone(), openings.clone());
        async move {
            let openings: Vec<&[u8]> = openings.iter().map(Vec::as_slice).collect();
            peers.hold(&openings).await
        }
    })
}

/// Connections on which nothing comes, half a head comes, or nothing comes after a first request.
pub async fn held(stage: Arc<Stage>) -> Round {
    let peers = Peers::of(&stage, HELD, stage.size(2, 4), stage.size(30, 500), false);
    let openings = [
        "",
        "GET / HTTP/1.1\r\nhost: a\r\nx-",
        "GET /_matrix/client/versions HTTP/1.1\r\nhost: a\r\n\r\n",
    ];
    holding(peers, openings.map(Into::into).into())
}

/// Heads and bodies of which a byte comes now and then.
pub async fn slow_requests(stage: Arc<Stage>) -> Round {
    let peers = Peers::of(&stage, SLOW, stage.size(2, 4), stage.size(20, 200), true);
    let token = &stage.attackers[0].token;
    let openings = [
        "GET / HTTP/1.1\r\nhost: a\r\nx-a: ".to_owned(),
        "POST /_matrix/client/v3/login HTTP/1.1\r\nhost: a\r\ncontent-length: 60000\r\n\r\n\""
            .to_owned(),
        format!(
            "POST /_matrix/media/v3/upload HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\
             content-length: 20000000\r\n\r\n"
        ),
        format!(
            "POST /_matrix/client/v3/createRoom HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\
             content-length: 1000000\r\n\r\n\""
        ),
    ];
    holding(peers, openings.map(String::into_bytes).into())
}

/// Answers of which nothing is read: files, and pages of a room.
pub async fn slow_readers(stage: Arc<Stage>) -> Round {
    let peers = Peers::of(&stage, READERS, stage.size(2, 4), stage.size(5, 100), false);
    let owner = &stage.attackers[0];
    let file = vec![b'x'; stage.size(1 << 20, 22 << 20)];
    let file = owner.upload(file).await.expect("an upload");
    let room = stage.room_of_attackers().await;
    for number in 0..stage.size(5, 50) {
        let path = format!(
            "/_matrix/client/v3/rooms/{}/send/m.room.message/read-{number}",
            part(&room)
        );
        let text = "x".repeat(50_000);
        owner
            .put(
                &path,
                &serde_json::json!({ "msgtype": "m.text", "body": text }),
            )
            .await;
    }
    let get = |path: String| {
        let token = &owner.token;
        format!("GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\r\n")
    };
    let openings = [
        get(format!("/_matrix/client/v1/media/download/{file}")),
        get(format!(
            "/_matrix/client/v3/rooms/{}/messages?dir=b&limit=1000",
            part(&room)
        )),
    ];
    holding(peers, openings.map(String::into_bytes).into())
}
