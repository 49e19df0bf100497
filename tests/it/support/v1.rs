//! The real Letta V1 server as a child process, with a scripted model behind it, a Postgres and a Redis of its own.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use letta_client::AgentId;
use serde_json::{Value, json};
use tokio::process::Command;

use super::{
    peer::model::Model,
    process::{Process, client, free_port},
};

/// How long the server may take to listen: a minute and more on two cores.
const START_MAX: Duration = Duration::from_mins(5);

/// A tool that runs a shell command, and asks before it does.
const BASH: &str = r#"def Bash(command: str, description: str) -> str:
    """
    Runs a shell command.

    Args:
        command (str): The command.
        description (str): What it is for.

    Returns:
        str: What it printed.
    """
    import subprocess
    return subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60).stdout
"#;

pub struct LettaV1 {
    pub model: Model,
    home: PathBuf,
    venv: PathBuf,
    port: u16,
    postgres_port: u16,
    redis_port: u16,
    server: Option<Process>,
    /// They outlive the server, as their containers would.
    _stores: [Process; 2],
}

/// The repository's folder.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

impl LettaV1 {
    /// Starts one that keeps its state below `home`.
    pub async fn start(home: &Path) -> Self {
        for folder in ["work", "user"] {
            std::fs::create_dir_all(home.join(folder)).expect("a folder can be made");
        }
        let script = root().join("scripts/letta-v1.sh");
        let installed = Command::new("bash")
            .arg(&script)
            .stderr(Stdio::inherit())
            .output()
            .await
            .expect("bash is there");
        assert!(
            installed.status.success(),
            "scripts/letta-v1.sh has failed, see above"
        );
        let venv = PathBuf::from(
            String::from_utf8(installed.stdout)
                .expect("a path")
                .trim_end(),
        );
        let (postgres_port, redis_port) = (free_port(), free_port());
        let stores = [
            postgres(&script, home, postgres_port),
            redis(home, redis_port),
        ];
        let mut server = Self {
            model: Model::start().await,
            home: home.to_owned(),
            venv,
            port: free_port(),
            postgres_port,
            redis_port,
            server: None,
            _stores: stores,
        };
        let tables = server
            .command("python")
            .arg(root().join("tests/peers/letta_v1_tables.py"))
            .status()
            .await;
        assert!(
            tables.expect("Python is there").success(),
            "the tables cannot be made"
        );
        server.come_back().await;
        server
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn log(&self) -> PathBuf {
        self.home.join("server.log")
    }

    /// A program of its virtual environment, in its surroundings.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.venv.join("bin").join(program));
        command
            .current_dir(self.home.join("work"))
            .env("HOME", self.home.join("user"))
            .env(
                "LETTA_PG_URI",
                format!(
                    "postgresql://letta:letta@127.0.0.1:{}/letta?sslmode=disable",
                    self.postgres_port
                ),
            )
            .env("LETTA_REDIS_HOST", "127.0.0.1")
            .env("LETTA_REDIS_PORT", self.redis_port.to_string())
            // One pool instead of a connection for each query; rows of traces, whose writing can hang, are left out.
            .env("LETTA_DISABLE_SQLALCHEMY_POOLING", "false")
            .env("LETTA_TRACK_PROVIDER_TRACE", "false")
            .env("OPENAI_API_KEY", "none")
            .env("OPENAI_BASE_URL", &self.model.url)
            .env("OPENAI_API_BASE", &self.model.url)
            .stdin(Stdio::null());
        command
    }

    /// Starts it (again), with all that it had.
    pub async fn come_back(&mut self) {
        let mut command = self.command("letta");
        command.args([
            "server",
            "--host",
            "127.0.0.1",
            "--port",
            &self.port.to_string(),
        ]);
        self.server = Some(Process::spawn("Letta V1", command, &self.log(), None));
        let since = Instant::now();
        let health = format!("{}/v1/health/", self.url());
        while client().get(&health).send().await.is_err() {
            assert!(since.elapsed() < START_MAX, "Letta V1 does not listen");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// `kill -9`.
    pub async fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server
                .child()
                .kill()
                .await
                .expect("an own child can be killed");
        }
    }

    async fn call(&self, method: http::Method, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.url());
        let answer = client()
            .request(method, &url)
            .json(&body)
            .send()
            .await
            .expect("Letta V1 answers");
        let (status, text) = (answer.status(), answer.text().await.expect("a text"));
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Makes an agent with a tool that asks.
    pub async fn make_agent(&self, name: &str) -> AgentId {
        let tool = json!({"source_code": BASH, "source_type": "python", "default_requires_approval": true});
        let tool = self.call(http::Method::PUT, "/v1/tools/", tool).await;
        let body = json!({"name": name, "agent_type": "letta_v1_agent", "include_base_tools": false, "tool_ids": [tool["id"]],
            "llm_config": {"model": "scripted", "model_endpoint_type": "openai", "model_endpoint": self.model.url,
                "context_window": 32_000},
            "embedding_config": {"embedding_endpoint_type": "openai", "embedding_endpoint": self.model.url,
                "embedding_model": "none", "embedding_dim": 1536, "embedding_chunk_size": 300},
            "memory_blocks": [{"label": "persona", "value": "I follow the script."}]});
        let made = self.call(http::Method::POST, "/v1/agents/", body).await;
        made["id"]
            .as_str()
            .expect("an id")
            .parse()
            .expect("an agent's id")
    }

    /// Decides what waits in an agent's default conversation, and waits until it is carried out.
    pub async fn decide(&self, agent: &AgentId, approve: bool) {
        let url = format!(
            "{}/v1/agents/{agent}?include=agent.pending_approval",
            self.url()
        );
        let entry = client().get(&url).send().await.expect("Letta V1 answers");
        let entry: Value = entry.json().await.expect("an agent");
        let calls = entry["pending_approval"]["tool_calls"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let approval = |call: &Value| json!({"type": "approval", "tool_call_id": call["tool_call_id"], "approve": approve});
        let approvals: Vec<_> = calls.iter().map(approval).collect();
        assert!(!approvals.is_empty(), "nothing waits: {entry}");
        let body = json!({"agent_id": agent, "stream_tokens": true, "messages": [{"type": "approval", "approvals": approvals}]});
        let url = format!("{}/v1/conversations/default/messages", self.url());
        let answer = client()
            .post(&url)
            .json(&body)
            .send()
            .await
            .expect("Letta V1 answers");
        assert!(answer.status().is_success());
        let told = answer.text().await.expect("a stream");
        assert!(told.contains("assistant_message"), "{told}");
    }

    /// Deletes an agent.
    pub async fn delete_agent(&self, agent: &AgentId) {
        let path = format!("/v1/agents/{agent}");
        self.call(http::Method::DELETE, &path, json!({})).await;
    }

    /// Its agents and their names.
    pub async fn agents(&self) -> Vec<(AgentId, String)> {
        let url = format!("{}/v1/agents/?order=asc", self.url());
        let listed = client().get(&url).send().await.expect("Letta V1 answers");
        let listed: Vec<Value> = listed.json().await.expect("a list");
        let text = |agent: &Value, key: &str| agent[key].as_str().expect("a text").to_owned();
        listed
            .iter()
            .map(|agent| {
                (
                    text(agent, "id").parse().expect("an agent's id"),
                    text(agent, "name"),
                )
            })
            .collect()
    }
}

fn postgres(script: &Path, home: &Path, port: u16) -> Process {
    use std::os::unix::fs::PermissionsExt;
    // As root, Postgres runs as somebody else, who has to come through.
    for folder in home.ancestors().take(2) {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o711))
            .expect("an own folder");
    }
    let mut command = Command::new("bash");
    command
        .arg(script)
        .arg("postgres")
        .arg(home.join("postgres"))
        .arg(port.to_string());
    Process::spawn("Postgres", command, &home.join("postgres.log"), None)
}

fn redis(home: &Path, port: u16) -> Process {
    let mut command = Command::new("redis-server");
    command
        .args([
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--port",
            &port.to_string(),
        ])
        .current_dir(home);
    Process::spawn("Redis", command, &home.join("redis.log"), None)
}
