//! The real App Server as a child process, with a scripted model behind it.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::OnceLock,
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt};
use letta_client::AgentId;
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};
use tokio_tungstenite::tungstenite::Message;

use super::model::Model;

/// How long the server may take to listen.
const START_MAX: Duration = Duration::from_mins(1);

/// How long it may take to make an agent: it makes a git repository.
const MAKE_MAX: Duration = Duration::from_mins(1);

/// The server, of whatever state it is in.
pub(crate) struct LettaAppServer {
    pub(crate) model: Model,
    home: PathBuf,
    port: u16,
    token: Option<String>,
    child: Option<Child>,
}

/// What the `letta` command does. The command itself names the folder in which it was installed, which was moved since.
const LETTA: &str = "import sys; from letta_code import main; sys.exit(main())";

/// The Python that `scripts/peers.sh` has installed Letta for.
fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
        let script = root
            .map(|at| at.join("scripts/peers.sh"))
            .find(|at| at.exists());
        let made = std::process::Command::new("bash")
            .arg(script.expect("the repository has scripts/peers.sh"))
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .expect("bash is there");
        assert!(
            made.status.success(),
            "scripts/peers.sh has failed, see above"
        );
        let peers = String::from_utf8(made.stdout).expect("a path");
        Path::new(peers.trim_end()).join("venv/bin/python")
    })
}

impl LettaAppServer {
    /// Starts one that keeps its state below `home`.
    pub(crate) async fn start(home: &Path, token: Option<&str>) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let mut server = Self {
            model: Model::start().await,
            home: home.to_owned(),
            port: free.local_addr().expect("bound").port(),
            token: token.map(str::to_owned),
            child: None,
        };
        drop(free);
        std::fs::create_dir_all(home.join("work")).expect("a folder can be made");
        let model = server.model.url.clone();
        // The same model twice: behind an endpoint of which nothing is known, and behind one that says that it sees.
        for provider in ["openai-compatible", "llama-cpp"] {
            let connect = [
                "connect",
                provider,
                "--base-url",
                &model,
                "--api-key",
                "none",
            ];
            let connected = server.letta(&connect).status().await;
            let connected = connected.expect("the App Server is installed");
            assert!(
                connected.success(),
                "the App Server does not take the model"
            );
        }
        server.come_back().await;
        server
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }

    fn letta(&self, arguments: &[&str]) -> Command {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.home.join("server.log"))
            .expect("the log file opens");
        let mut command = Command::new(python());
        command
            .args(["-c", LETTA, "--backend", "local"])
            .args(arguments)
            .current_dir(self.home.join("work"))
            .env("HOME", &self.home)
            .env("LETTA_LOCAL_BACKEND_DIR", self.home.join("data"))
            .env("DISABLE_TELEMETRY", "1")
            .env("LETTA_TELEMETRY_DISABLED", "1")
            .env("DISABLE_AUTOUPDATER", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be cloned"))
            .stderr(log)
            .kill_on_drop(true);
        command
    }

    /// Starts it (again), with all that it had.
    pub(crate) async fn come_back(&mut self) {
        let url = self.url();
        // With it the OpenAI-compatible routes are there too, for the tests of those.
        let mut arguments = vec!["server", "--listen", &url, "--openai-api"];
        let file = self.home.join("token");
        if let Some(token) = &self.token {
            std::fs::write(&file, token).expect("a file can be written");
            let file = file.to_str().expect("a path of plain words");
            arguments.extend(["--ws-auth", "capability-token", "--ws-token-file", file]);
        }
        self.child = Some(
            self.letta(&arguments)
                .spawn()
                .expect("the App Server is installed"),
        );
        let since = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            assert!(
                since.elapsed() < START_MAX,
                "the App Server does not listen"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// `kill -9`.
    pub(crate) async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.expect("an own child can be killed");
        }
    }

    /// Makes an agent, as Letta's own apps do.
    pub(crate) async fn make_agent(&self, name: &str) -> AgentId {
        self.make_agent_of(name, "openai-compatible/scripted").await
    }

    /// Makes an agent whose model sees pictures.
    #[allow(dead_code, reason = "not every test shows pictures")]
    pub(crate) async fn make_seeing_agent(&self, name: &str) -> AgentId {
        self.make_agent_of(name, "llama-cpp/scripted").await
    }

    async fn make_agent_of(&self, name: &str, model: &str) -> AgentId {
        let body = json!({"name": name, "description": "a test", "model": model,
            "memory_blocks": [{"label": "persona", "value": "I follow the script."}]});
        let made = self
            .ask(json!({"type": "agent_create", "body": body}))
            .await;
        let id = made["agent"]["id"].as_str();
        id.unwrap_or_else(|| panic!("no agent: {made}"))
            .parse()
            .expect("an agent id")
    }

    /// Asks something over a socket of its own, as another client would.
    pub(crate) async fn ask(&self, mut request: Value) -> Value {
        request["request_id"] = "1".into();
        let stream = TcpStream::connect(("127.0.0.1", self.port))
            .await
            .expect("it listens");
        let mut upgrade =
            tokio_tungstenite::tungstenite::client::IntoClientRequest::into_client_request(
                format!("{}/ws", self.url()),
            )
            .expect("a URL");
        if let Some(token) = &self.token {
            let bearer = format!("Bearer {token}").parse().expect("a header");
            upgrade.headers_mut().insert("authorization", bearer);
        }
        let (mut socket, _) = tokio_tungstenite::client_async(upgrade, stream)
            .await
            .expect("it upgrades");
        let text = Message::text(request.to_string());
        socket.send(text).await.expect("it reads");
        let answer = async {
            while let Some(Ok(frame)) = socket.next().await {
                let frame: Value = serde_json::from_slice(&frame.into_data()).unwrap_or_default();
                if frame["request_id"] == "1" {
                    return frame;
                }
            }
            panic!("the App Server closes the socket instead of answering {request}")
        };
        tokio::time::timeout(MAKE_MAX, answer)
            .await
            .expect("the App Server answers")
    }
}
