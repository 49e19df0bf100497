//! The first minute of somebody who has only this program: `init`, `run`, register, and the agents are there.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::process::{Process, client, free_port, tail};

const BINARY: &str = env!("CARGO_BIN_EXE_matrix-appservice-letta");
/// How long anything here may take on a machine that does a lot besides.
const PATIENCE: Duration = Duration::from_mins(1);

/// The bridge with its own homeserver, and scripted agents.
struct Alone {
    url: String,
    config: std::path::PathBuf,
    process: Option<Process>,
}

impl Alone {
    async fn init(dir: &Path) -> Self {
        let port = free_port();
        let made = Command::new(BINARY)
            .args(["init", "--backend", "demo", "--admin", "@me:localhost"])
            .args(["--port", &port.to_string(), "--dir"])
            .arg(dir)
            .stdin(Stdio::null())
            .output();
        let made = made.await.expect("the binary starts");
        assert!(made.status.success(), "{made:?}");
        Self {
            url: format!("http://127.0.0.1:{port}"),
            config: dir.join("config.yaml"),
            process: None,
        }
    }

    async fn start(&mut self) {
        let mut command = Command::new(BINARY);
        command.args(["run", "-c"]).arg(&self.config);
        command.stdin(Stdio::null());
        let log = self.log();
        let mut process = Process::spawn("the bridge", command, &log, None);
        let ready = format!("{}/_matrix/mau/ready", self.url);
        process.wait_for_ok(&ready, PATIENCE).await;
        self.process = Some(process);
    }

    async fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            process.terminate().await;
        }
    }

    fn log(&self) -> std::path::PathBuf {
        self.config.with_file_name("run.log")
    }

    /// What stands behind these words in what the bridge has printed.
    async fn printed(&self, words: &str) -> String {
        let started = Instant::now();
        loop {
            let text = std::fs::read_to_string(self.log()).unwrap_or_default();
            let found = text
                .lines()
                .find_map(|line| line.trim().strip_prefix(words));
            if let Some(found) = found {
                return found.trim().to_owned();
            }
            assert!(started.elapsed() < PATIENCE, "{}", tail(&self.log(), 40));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Registers as a client does. Gives the access token.
    async fn register(&self, name: &str, token: &str) -> String {
        let url = format!("{}/_matrix/client/v3/register", self.url);
        let body = |auth: Value| json!({ "username": name, "password": "correct horse battery staple", "auth": auth });
        let asked = client().post(&url).json(&json!({})).send().await.unwrap();
        let asked: Value = asked.json().await.unwrap();
        let auth = json!({
            "type": "m.login.registration_token", "token": token, "session": asked["session"],
        });
        let mut made: Value = Value::Null;
        for auth in [
            auth,
            json!({ "type": "m.login.dummy", "session": asked["session"] }),
        ] {
            let answer = client().post(&url).json(&body(auth)).send().await.unwrap();
            made = answer.json().await.unwrap();
            if made["access_token"].is_string() {
                break;
            }
        }
        made["access_token"]
            .as_str()
            .unwrap_or_else(|| panic!("not registered: {made}"))
            .to_owned()
    }

    async fn until_online(&self, token: &str, user: &str) {
        let (started, path) = (
            Instant::now(),
            format!("/_matrix/client/v3/presence/{user}/status"),
        );
        while self.get(token, &path).await["presence"] != "online" {
            assert!(started.elapsed() < PATIENCE, "{user} is not online");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn get(&self, token: &str, path: &str) -> Value {
        let url = format!("{}{path}", self.url);
        let answer = client().get(url).bearer_auth(token).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {answer:?}");
        answer.json().await.unwrap()
    }

    /// Syncs from the beginning until `done` finds what it looks for, and no invitation is left.
    async fn sync_until<T>(
        &self,
        token: &str,
        what: &str,
        mut done: impl FnMut(&Value) -> Option<T>,
    ) -> T {
        let started = Instant::now();
        loop {
            let filter = "%7B%22room%22:%7B%22timeline%22:%7B%22limit%22:50%7D%7D%7D";
            let seen = self
                .get(token, &format!("/_matrix/client/v3/sync?filter={filter}"))
                .await;
            // A room that is made in the moment in which the account is, is joined a moment later.
            let is_invited = !seen["rooms"]["invite"].is_null();
            if let Some(found) = done(&seen).filter(|_| !is_invited) {
                return found;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "{what}: {seen:#}\n{}",
                tail(&self.log(), 40)
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// All events of a room in a sync.
fn events(room: &Value) -> Vec<&Value> {
    let of = |part: &str| room[part]["events"].as_array().into_iter().flatten();
    of("state").chain(of("timeline")).collect()
}

/// The content of a piece of the room's state.
fn state<'a>(room: &'a Value, kind: &str, key: &str) -> &'a Value {
    let found = events(room)
        .into_iter()
        .rfind(|event| event["type"] == kind && event["state_key"] == key);
    found.map_or(&Value::Null, |event| &event["content"])
}

/// The rooms of agents in a sync: room id, ghost, room.
fn homes(seen: &Value) -> Vec<(String, String, &Value)> {
    let rooms = seen["rooms"]["join"].as_object().into_iter().flatten();
    let homes = rooms.filter_map(|(id, room)| {
        let alias = state(room, "m.room.canonical_alias", "")["alias"].as_str()?;
        let ghost = alias.strip_prefix("#agent_")?;
        Some((id.clone(), format!("@agent_{ghost}"), room))
    });
    homes.collect()
}

/// The picture of the space.
fn space_mark(seen: &Value) -> Option<&str> {
    let rooms = seen["rooms"]["join"].as_object()?;
    let is_space = |room: &&Value| state(room, "m.room.create", "")["type"] == "m.space";
    let space = rooms.values().find(is_space)?;
    state(space, "m.room.avatar", "")["url"].as_str()
}

/// What this user has said in a room.
fn said<'a>(room: &'a Value, user: &str) -> Vec<&'a Value> {
    let messages = events(room)
        .into_iter()
        .filter(|event| event["type"] == "m.room.message" && event["sender"] == user);
    messages.map(|event| &event["content"]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn first_user_meets_every_agent_without_a_click() {
    let dir = tempfile::tempdir().unwrap();
    let mut alone = Alone::init(dir.path()).await;
    alone.start().await;
    let token = alone.printed("registration token").await;
    let me = alone.register("me", &token).await;
    let everybody_greets = |seen: &Value| {
        let homes = homes(seen);
        let ready = homes.len() == 3
            && space_mark(seen).is_some()
            && homes.iter().all(|(_, ghost, room)| {
                let (picture, member) = (
                    &state(room, "m.room.avatar", "")["url"],
                    state(room, "m.room.member", ghost),
                );
                // Steps of their own, in no order that anybody promises.
                !said(room, ghost).is_empty()
                    && picture.is_string()
                    && member["membership"] == "join"
                    && member["avatar_url"] == *picture
            });
        ready.then(|| seen.clone())
    };
    let seen = alone
        .sync_until(&me, "all agents greet", everybody_greets)
        .await;
    assert!(space_mark(&seen).unwrap().starts_with("mxc://"));
    let mut pictures = std::collections::BTreeSet::new();
    for (_, ghost, room) in homes(&seen) {
        let [greeting] = said(room, &ghost)[..] else {
            panic!("one greeting: {room}");
        };
        assert_eq!(greeting["msgtype"], "m.notice");
        let text = greeting["body"].as_str().unwrap();
        assert!(
            text.contains("🛑") && text.contains("!letta help"),
            "{text}"
        );
        let picture = &state(room, "m.room.avatar", "")["url"];
        assert_eq!(state(room, "m.room.member", &ghost)["avatar_url"], *picture);
        assert!(pictures.insert(picture.to_string()), "one each");
        let topic = &state(room, "m.room.topic", "")["topic"];
        assert!(topic.is_string(), "what the agent is for");
        let rule = state(room, "m.room.join_rules", "");
        assert_eq!(rule["join_rule"], "restricted");
        assert_eq!(room["unread_notifications"]["notification_count"], 0);
        alone.until_online(&me, &ghost).await;
    }

    // An answer, and after another start no second greeting.
    let (room, ghost, _) = homes(&seen).remove(0);
    let url = format!(
        "{}/_matrix/client/v3/rooms/{room}/send/m.room.message/first",
        alone.url
    );
    let question = json!({ "msgtype": "m.text", "body": "say: here I am" });
    let sent = client().put(url).bearer_auth(&me).json(&question);
    assert!(sent.send().await.unwrap().status().is_success());
    let answered = |seen: &Value| {
        let (_, _, room) = homes(seen).into_iter().find(|home| home.0 == room)?;
        let said = said(room, &ghost);
        let text = said.iter().find(|content| content["msgtype"] == "m.text")?;
        let text = text["body"].as_str()?;
        text.contains("here I am").then_some(said.len())
    };
    let before = alone.sync_until(&me, "the answer", answered).await;
    alone.stop().await;
    alone.start().await;
    let after = alone.sync_until(&me, "the answer", answered).await;
    assert_eq!(before, after, "nothing is said again");

    let well_known = alone.get(&me, "/.well-known/matrix/client").await;
    assert_eq!(well_known["io.element.e2ee"], json!({ "default": false }));
    alone.stop().await;
}
