//! A person at a real Matrix client (matrix-nio in a process of its own, see `tests/person/person.py`).
//!
//! Nothing here sleeps and hopes: every wait is for a condition on what the person sees, and is woken by the client.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::sync::{oneshot, watch};

use super::peers::{python, root};
use super::process::Process;
use super::room::{Entry, Room};

/// How long a call of the client may take. Longer than any start of Synapse, during which the client tries again.
const CALL: Duration = Duration::from_mins(1);

pub const PASSWORD: &str = "correct horse battery staple";

pub type Rooms = BTreeMap<String, Room>;

#[derive(Default)]
struct Seen {
    rooms: Rooms,
    calls: HashMap<u64, oneshot::Sender<Result<Value, String>>>,
}

pub struct Person {
    pub user_id: String,
    pub name: String,
    pub log: PathBuf,
    seen: Arc<Mutex<Seen>>,
    changed: watch::Receiver<u64>,
    stdin: tokio::sync::Mutex<ChildStdin>,
    next_call: AtomicU64,
    _process: Process,
}

impl Person {
    /// Opens a client and registers `name`.
    pub async fn register(homeserver: &str, name: &str, dir: &Path) -> Self {
        let mut person = Self::open(homeserver, name, dir);
        let me = person
            .call("register", json!({"name": name, "password": PASSWORD}))
            .await;
        person.user_id = text(&me["user_id"]);
        person
    }

    /// Opens one more client of somebody who is registered already.
    pub async fn log_in(homeserver: &str, name: &str, dir: &Path) -> Self {
        let mut person = Self::open(homeserver, name, dir);
        let me = person
            .call("login", json!({"name": name, "password": PASSWORD}))
            .await;
        person.user_id = text(&me["user_id"]);
        person
    }

    fn open(homeserver: &str, name: &str, dir: &Path) -> Self {
        let log = dir.join(format!("person-{name}.log"));
        let mut command = Command::new(python());
        command
            .arg(root().join("tests/person/person.py"))
            .arg(homeserver)
            .stdin(Stdio::piped());
        let mut process = Process::spawn("a person", command, &log, Some(Stdio::piped()));
        let stdin = process.child().stdin.take().expect("stdin is piped");
        let stdout = process.child().stdout.take().expect("stdout is piped");
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (bump, changed) = watch::channel(0);
        tokio::spawn(listen(stdout, Arc::clone(&seen), bump));
        Self {
            user_id: String::new(),
            name: name.to_owned(),
            log,
            seen,
            changed,
            stdin: tokio::sync::Mutex::new(stdin),
            next_call: AtomicU64::new(1),
            _process: process,
        }
    }

    /// Calls a method of the client; the test stops when the client says no.
    pub async fn call(&self, method: &str, arguments: Value) -> Value {
        let what = arguments.to_string();
        self.try_call(method, arguments)
            .await
            .unwrap_or_else(|error| panic!("{} could not {method} {what}: {error}", self.name))
    }

    /// Calls a method of the client and gives back its refusal, if it is one.
    pub async fn try_call(&self, method: &str, mut arguments: Value) -> Result<Value, String> {
        let id = self.next_call.fetch_add(1, Ordering::Relaxed);
        arguments["id"] = id.into();
        arguments["do"] = method.into();
        let (answered, answer) = oneshot::channel();
        self.seen.lock().unwrap().calls.insert(id, answered);
        let line = format!("{arguments}\n");
        self.stdin
            .lock()
            .await
            .write_all(line.as_bytes())
            .await
            .map_err(|error| error.to_string())?;
        match tokio::time::timeout(CALL, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err("the client ended".to_owned()),
            Err(_) => Err(format!("no answer within {CALL:?}")),
        }
    }

    // --- doing ---

    pub async fn join(&self, room: &str) {
        self.call("join", json!({"room": room})).await;
        self.wait_for("to be in the room", room, Duration::from_secs(10), |room| {
            (room.membership == "join").then_some(())
        })
        .await;
    }

    /// Sends any content as `m.room.message` and gives its event id.
    pub async fn send(&self, room: &str, content: Value) -> String {
        text(
            &self
                .call("send", json!({"room": room, "content": content}))
                .await,
        )
    }

    /// Sends an event of any type and gives its event id.
    pub async fn send_of(&self, kind: &str, room: &str, content: Value) -> String {
        let arguments = json!({"room": room, "content": content, "kind": kind});
        text(&self.call("send", arguments).await)
    }

    /// Uploads a file and gives its address.
    pub async fn upload(&self, bytes: &[u8], mimetype: &str) -> String {
        let path = self.log.with_extension("upload");
        std::fs::write(&path, bytes).expect("a file can be written");
        let arguments = json!({"path": path, "mimetype": mimetype});
        text(&self.call("upload", arguments).await)
    }

    pub async fn say(&self, room: &str, body: &str) -> String {
        self.send(room, json!({"msgtype": "m.text", "body": body}))
            .await
    }

    pub async fn notice(&self, room: &str, body: &str) -> String {
        self.send(room, json!({"msgtype": "m.notice", "body": body}))
            .await
    }

    pub async fn reply(&self, room: &str, to: &str, body: &str) -> String {
        let relation = json!({"m.in_reply_to": {"event_id": to}});
        self.send(
            room,
            json!({"msgtype": "m.text", "body": body, "m.relates_to": relation}),
        )
        .await
    }

    /// Says `body` in the thread under the message `top`.
    pub async fn say_in_thread(&self, room: &str, top: &str, body: &str) -> String {
        let relation = json!({
            "rel_type": "m.thread", "event_id": top,
            "is_falling_back": true, "m.in_reply_to": {"event_id": top},
        });
        self.send(
            room,
            json!({"msgtype": "m.text", "body": body, "m.relates_to": relation}),
        )
        .await
    }

    pub async fn mention(&self, room: &str, user_id: &str, body: &str) -> String {
        let mentions = json!({"user_ids": [user_id]});
        self.send(
            room,
            json!({"msgtype": "m.text", "body": body, "m.mentions": mentions}),
        )
        .await
    }

    pub async fn edit(&self, room: &str, event_id: &str, body: &str) -> String {
        let content = json!({
            "msgtype": "m.text", "body": format!("* {body}"),
            "m.new_content": {"msgtype": "m.text", "body": body},
            "m.relates_to": {"rel_type": "m.replace", "event_id": event_id},
        });
        self.send(room, content).await
    }

    pub async fn react(&self, room: &str, event_id: &str, key: &str) -> String {
        let relation = json!({"rel_type": "m.annotation", "event_id": event_id, "key": key});
        let content = json!({"m.relates_to": relation});
        text(
            &self
                .call(
                    "send",
                    json!({"room": room, "content": content, "kind": "m.reaction"}),
                )
                .await,
        )
    }

    pub async fn redact(&self, room: &str, event_id: &str) {
        self.call("redact", json!({"room": room, "event_id": event_id}))
            .await;
    }

    pub async fn typing(&self, room: &str, on: bool) {
        self.call("typing", json!({"room": room, "on": on})).await;
    }

    pub async fn read(&self, room: &str, event_id: &str) {
        self.call("read", json!({"room": room, "event_id": event_id}))
            .await;
    }

    pub async fn rename_room(&self, room: &str, name: &str) {
        let content = json!({"name": name});
        self.call(
            "put_state",
            json!({"room": room, "kind": "m.room.name", "content": content}),
        )
        .await;
    }

    pub async fn create_room(&self, invite: &[&str]) -> String {
        text(&self.call("create_room", json!({"invite": invite})).await)
    }

    /// Makes a space.
    pub async fn create_space(&self, invite: &[&str]) -> String {
        let invite = json!({"invite": invite, "space": true});
        text(&self.call("create_room", invite).await)
    }

    /// Starts a direct chat.
    pub async fn chat_with(&self, user_id: &str) -> String {
        text(
            &self
                .call("create_room", json!({"invite": [user_id], "direct": true}))
                .await,
        )
    }

    /// The room behind an alias, if there is one.
    pub async fn resolve(&self, alias: &str) -> Option<String> {
        self.call("resolve", json!({"alias": alias}))
            .await
            .as_str()
            .map(ToOwned::to_owned)
    }

    /// Takes a display name.
    pub async fn set_name(&self, name: &str) {
        self.call("set_name", json!({"name": name})).await;
    }

    pub async fn display_name_of(&self, user_id: &str) -> Option<String> {
        self.call("profile", json!({"user": user_id})).await["displayname"]
            .as_str()
            .map(ToOwned::to_owned)
    }

    // --- seeing ---

    pub fn room(&self, room_id: &str) -> Room {
        self.seen
            .lock()
            .unwrap()
            .rooms
            .get(room_id)
            .cloned()
            .unwrap_or_default()
    }

    /// Waits until `ready` finds what it looks for in one room. A wait in vain prints the room.
    pub async fn wait_for<T>(
        &self,
        what: &str,
        room_id: &str,
        timeout: Duration,
        mut ready: impl FnMut(&Room) -> Option<T>,
    ) -> T {
        self.wait_until(what, timeout, |rooms| {
            rooms.get(room_id).and_then(&mut ready)
        })
        .await
    }

    /// Waits until `ready` finds what it looks for among all rooms. A wait in vain prints all of them.
    pub async fn wait_until<T>(
        &self,
        what: &str,
        timeout: Duration,
        mut ready: impl FnMut(&Rooms) -> Option<T>,
    ) -> T {
        let mut changed = self.changed.clone();
        let found = tokio::time::timeout(timeout, async {
            loop {
                changed.mark_unchanged();
                if let Some(found) = ready(&self.seen.lock().unwrap().rooms) {
                    return found;
                }
                let told = changed.changed().await.is_ok();
                assert!(
                    told,
                    "the client of {} ended while waiting {what}",
                    self.name
                );
            }
        });
        found.await.unwrap_or_else(|_| {
            panic!(
                "{} waited {timeout:?} in vain {what}; sees\n{}",
                self.name,
                self.page()
            )
        })
    }

    /// Waits for the one answer to `event_id` whose text `complete` accepts, and gives it.
    pub async fn wait_for_answer(
        &self,
        room_id: &str,
        event_id: &str,
        timeout: Duration,
        complete: impl Fn(&str) -> bool,
    ) -> Entry {
        self.wait_for("for an answer", room_id, timeout, |room| {
            room.answers_to(event_id)
                .find(|entry| complete(entry.text()))
                .cloned()
        })
        .await
    }

    fn page(&self) -> String {
        let mut page = String::new();
        for room in self.seen.lock().unwrap().rooms.values() {
            let _ = writeln!(page, "{room}");
        }
        page
    }
}

/// Takes what the client tells until it ends.
async fn listen(stdout: ChildStdout, seen: Arc<Mutex<Seen>>, bump: watch::Sender<u64>) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(mut told) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        {
            let mut seen = seen.lock().unwrap();
            if let Some(id) = told["id"].as_u64() {
                if let Some(call) = seen.calls.remove(&id) {
                    let answer = told["error"]
                        .as_str()
                        .map_or_else(|| Ok(told["ok"].clone()), |e| Err(e.to_owned()));
                    let _ = call.send(answer);
                }
            } else if told["room"].is_object() {
                let mut room: Room =
                    serde_json::from_value(told["room"].take()).expect("the client tells a room");
                let known = seen.rooms.entry(room.id.clone()).or_default();
                room.timeline = std::mem::take(&mut known.timeline);
                *known = room;
            } else if told["entry"].is_object() {
                let entry: Entry = serde_json::from_value(told["entry"].take())
                    .expect("the client tells a message");
                let room = seen.rooms.entry(text(&told["room_id"])).or_default();
                let at = usize::try_from(told["at"].as_u64().expect("a place")).expect("a place");
                if at < room.timeline.len() {
                    room.timeline[at] = entry;
                } else {
                    room.timeline.push(entry);
                }
            }
        }
        bump.send_modify(|count| *count += 1);
    }
    seen.lock().unwrap().calls.clear();
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .expect("the client answers with a text")
        .to_owned()
}
