//! The program as a child process under limits of the system, and people who call it.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rand::RngCore;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::process::Command;

#[path = "../it/support/process.rs"]
#[allow(dead_code, reason = "the tests with other peers use the rest of it")]
pub mod process;

use process::{Process, free_port, tail};

const BINARY: &str = env!("CARGO_BIN_EXE_matrix-appservice-letta");
/// How long something may take that has to happen, on a machine under load.
pub const PATIENCE: Duration = Duration::from_mins(2);
/// Between two looks whether it has.
pub const LOOK: Duration = Duration::from_millis(20);
pub const PASSWORD: &str = "correct-horse-battery";

/// The program with some arguments, in an environment of its own.
pub struct Program {
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    /// What the shell does before it becomes the program, like `ulimit -n 256`.
    prelude: String,
    pub log: PathBuf,
    process: Option<Process>,
}

impl Program {
    pub fn new(arguments: &[&str], log: &Path) -> Self {
        Self {
            arguments: arguments.iter().map(|&one| one.to_owned()).collect(),
            environment: Vec::new(),
            prelude: "true".to_owned(),
            log: log.to_owned(),
            process: None,
        }
    }

    #[must_use]
    pub fn under(mut self, prelude: &str) -> Self {
        prelude.clone_into(&mut self.prelude);
        self
    }

    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.environment.push((key.to_owned(), value.to_owned()));
        self
    }

    fn command(&self, arguments: &[String]) -> Command {
        let mut command = Command::new("bash");
        command
            .arg("-c")
            .arg(format!("{} && exec \"$0\" \"$@\"", self.prelude))
            .arg(BINARY)
            .args(arguments)
            .envs(self.environment.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null());
        command
    }

    /// Starts it and waits until `url` answers 200.
    pub async fn start(&mut self, url: &str) {
        assert!(self.process.is_none(), "it runs already");
        let command = self.command(&self.arguments);
        let mut process = Process::spawn("the program", command, &self.log, None);
        process.wait_for_ok(url, PATIENCE).await;
        self.process = Some(process);
    }

    /// Runs it with other arguments to its end. Gives what it said.
    pub async fn run(&self, arguments: &[&str]) -> String {
        let arguments: Vec<String> = arguments.iter().map(|&one| one.to_owned()).collect();
        let output = self.command(&arguments).kill_on_drop(true).output();
        let output = tokio::time::timeout(PATIENCE, output)
            .await
            .unwrap()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        said
    }

    pub fn pid(&mut self) -> u32 {
        let process = self.process.as_mut().expect("it runs");
        process.child().id().expect("it has not ended")
    }

    /// How it has ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let process = self.process.as_mut().expect("it runs");
        let status = process.child().try_wait().unwrap();
        if status.is_some() {
            self.process = None;
        }
        status
    }

    /// Stops it as an admin does.
    pub async fn stop(&mut self) {
        let (status, _) = self.process.take().expect("it runs").terminate().await;
        assert!(status.success(), "{status}\n{}", self.tail());
    }

    /// How many descriptors it has open.
    pub fn descriptors(&mut self) -> usize {
        let folder = format!("/proc/{}/fd", self.pid());
        fs::read_dir(folder).unwrap().count()
    }

    /// How many of them are sockets.
    pub fn sockets(&mut self) -> usize {
        let folder = format!("/proc/{}/fd", self.pid());
        let links = fs::read_dir(folder).unwrap().flatten();
        let links = links.filter_map(|entry| fs::read_link(entry.path()).ok());
        links
            .filter(|link| link.to_string_lossy().starts_with("socket:"))
            .count()
    }

    /// Sets a limit of the running program: `nofile=100` or `fsize=65536`, as `prlimit` writes them.
    pub fn limit(&mut self, limit: &str) {
        let status = std::process::Command::new("prlimit")
            .arg(format!("--pid={}", self.pid()))
            .arg(format!("--{limit}"))
            .status();
        assert!(status.expect("prlimit of util-linux").success());
    }

    pub fn log_text(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn tail(&self) -> String {
        tail(&self.log, 40)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.tail());
        }
    }
}

/// The embedded homeserver alone.
pub struct Homeserver {
    pub program: Program,
    pub port: u16,
}

impl Homeserver {
    /// Lays one out in `dir`, with its database in `database`. `settings` are lines of its configuration.
    pub fn new(dir: &Path, database: &Path, settings: &str) -> Self {
        let port = free_port();
        let path = dir.join("tuwunel.toml");
        let text = format!(
            "[global]\nserver_name = \"letta.test\"\naddress = \"127.0.0.1\"\nport = {port}\n\
             database_path = \"{}\"\nallow_registration = true\nallow_federation = false\n\
             yes_i_am_very_very_sure_i_want_an_open_registration_server_prone_to_abuse = true\n{settings}\n",
            database.display(),
        );
        fs::write(&path, text).unwrap();
        let arguments = ["homeserver", "--tuwunel-config", path.to_str().unwrap()];
        let program = Program::new(&arguments, &dir.join("homeserver.log"));
        Self { program, port }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub async fn start(&mut self) {
        let url = format!("{}/_matrix/client/versions", self.url());
        self.program.start(&url).await;
    }
}

/// A client that keeps its connection, from this address.
pub fn client_from(ip: &str) -> Client {
    drop(rustls::crypto::ring::default_provider().install_default());
    let ip: IpAddr = ip.parse().unwrap();
    let client = Client::builder().no_proxy().local_address(ip);
    client.timeout(PATIENCE).build().unwrap()
}

/// Somebody with an account.
pub struct Person {
    client: Client,
    url: String,
    token: String,
}

impl Person {
    /// Registers over this client.
    pub async fn register(client: Client, url: &str, name: &str) -> Self {
        let mut person = Self {
            client,
            url: url.to_owned(),
            token: String::new(),
        };
        let body =
            json!({ "username": name, "password": PASSWORD, "auth": { "type": "m.login.dummy" } });
        let made = person
            .ask("POST", "/_matrix/client/v3/register", &body)
            .await;
        person.token = token_in(&made.unwrap().1);
        person
    }

    /// Logs in over this client.
    pub async fn log_in(client: Client, url: &str, user: &str, password: &str) -> Self {
        let mut person = Self {
            client,
            url: url.to_owned(),
            token: String::new(),
        };
        let body = json!({
            "type": "m.login.password", "password": password,
            "identifier": { "type": "m.id.user", "user": user },
        });
        let made = person.ask("POST", "/_matrix/client/v3/login", &body).await;
        person.token = token_in(&made.unwrap().1);
        person
    }

    /// The same person over a new connection.
    #[must_use]
    pub fn again(&self, client: Client) -> Self {
        Self {
            client,
            url: self.url.clone(),
            token: self.token.clone(),
        }
    }

    pub async fn ask(
        &self,
        method: &str,
        path: &str,
        body: &Value,
    ) -> reqwest::Result<(StatusCode, Value)> {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = self
            .client
            .request(method.clone(), format!("{}{path}", self.url))
            .bearer_auth(&self.token);
        let request = if method == reqwest::Method::GET {
            request
        } else {
            request.json(body)
        };
        let response = request.send().await?;
        let status = response.status();
        Ok((status, response.json().await.unwrap_or_default()))
    }

    pub async fn ok(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.ask(method, path, body).await.unwrap();
        assert_eq!(status, StatusCode::OK, "{method} {path}: {answer}");
        answer
    }

    pub async fn create_room(&self) -> String {
        let made = self
            .ok("POST", "/_matrix/client/v3/createRoom", &json!({}))
            .await;
        made["room_id"].as_str().unwrap().to_owned()
    }

    /// Uploads a file. Gives the response.
    async fn try_upload(&self, bytes: Vec<u8>) -> reqwest::Response {
        let url = format!("{}/_matrix/media/v3/upload", self.url);
        let request = self.client.post(url).bearer_auth(&self.token).body(bytes);
        request.send().await.unwrap()
    }

    /// Uploads a file. Gives how that was answered.
    pub async fn upload_status(&self, bytes: Vec<u8>) -> StatusCode {
        self.try_upload(bytes).await.status()
    }

    /// Uploads a file. Gives its `mxc:` URI.
    pub async fn upload(&self, bytes: Vec<u8>) -> String {
        let response = self.try_upload(bytes).await;
        assert_eq!(response.status(), StatusCode::OK);
        let made: Value = response.json().await.unwrap();
        made["content_uri"].as_str().unwrap().to_owned()
    }

    /// A request as it is written to a socket.
    pub fn raw_get(&self, path: &str) -> String {
        let token = &self.token;
        format!("GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\r\n")
    }

    /// Sends a message; its body begins with the number, and cannot be compressed.
    pub async fn send(
        &self,
        room: &str,
        number: usize,
        bytes: usize,
    ) -> reqwest::Result<(StatusCode, Value)> {
        let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/{number}");
        let mut noise = vec![0; bytes];
        rand::rng().fill_bytes(&mut noise);
        let noise: String = noise
            .iter()
            .map(|byte| char::from(b'0' + byte % 64))
            .collect();
        let body = format!("{number} {noise}");
        let body = json!({ "msgtype": "m.text", "body": body });
        self.ask("PUT", &path, &body).await
    }

    /// The numbers of all messages of a room, in order.
    pub async fn numbers(&self, room: &str) -> Vec<usize> {
        let mut numbers = Vec::new();
        let mut from = String::new();
        loop {
            let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=f&limit=100{from}");
            let page = self.ok("GET", &path, &json!({})).await;
            for event in page["chunk"].as_array().unwrap() {
                let body = event["content"]["body"].as_str().unwrap_or_default();
                let number: Option<usize> =
                    body.split(' ').next().and_then(|word| word.parse().ok());
                numbers.extend(number);
            }
            match page["end"].as_str() {
                Some(end) => from = format!("&from={end}"),
                None => return numbers,
            }
        }
    }
}

fn token_in(answer: &Value) -> String {
    let token = answer["access_token"].as_str();
    token
        .unwrap_or_else(|| panic!("no token: {answer}"))
        .to_owned()
}

/// The path as text.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Everything below a folder, and the folder itself, with its mode. Links are not followed.
pub fn modes(folder: &Path) -> Vec<(PathBuf, u32)> {
    let found = fs::symlink_metadata(folder).unwrap();
    let mut all = vec![(folder.to_owned(), found.permissions().mode() & 0o777)];
    if found.is_dir() {
        for entry in fs::read_dir(folder).unwrap() {
            all.extend(modes(&entry.unwrap().path()));
        }
    }
    all
}
