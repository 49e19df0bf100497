//! Other users of the same machine read nothing: everything that the program makes is for its owner only, whatever the umask, and what
//! an earlier version has left open is closed.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use super::support::{
    LOOK, PATIENCE, Person, Program, client_from, modes, process::free_port, text,
};

/// What nobody but the owner may do.
const OTHERS: u32 = 0o077;
/// Nothing is kept from others, unless the program does.
const OPEN_UMASK: &str = "umask 0";

fn assert_private(folder: &Path) {
    let all = modes(folder);
    assert!(all.len() > 5, "{all:?}");
    let open: Vec<_> = all.iter().filter(|(_, mode)| mode & OTHERS != 0).collect();
    assert!(open.is_empty(), "open to others: {open:?}");
}

/// As an earlier version made it.
fn loosen(folder: &Path) {
    for (path, mode) in modes(folder) {
        let mode = if path.is_dir() { 0o755 } else { mode | 0o044 };
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }
}

/// The line of facts that the demo prints once there is somebody to log in as.
async fn facts(program: &Program) -> Value {
    let said = async {
        loop {
            let log = program.log_text();
            let line = log.lines().find(|line| line.starts_with("{\"homeserver\""));
            if let Some(facts) = line.and_then(|line| serde_json::from_str(line).ok()) {
                return facts;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(PATIENCE, said).await.unwrap()
}

async fn use_it(person: &Person) {
    let room = person.create_room().await;
    for number in 0..20 {
        let (status, answer) = person.send(&room, number, 1_000).await.unwrap();
        assert_eq!(status, 200, "{answer}");
    }
    person.upload(vec![b'x'; 10_000]).await;
    let profile = json!({ "displayname": "Somebody" });
    let me = person
        .ok("GET", "/_matrix/client/v3/account/whoami", &json!({}))
        .await;
    let path = format!(
        "/_matrix/client/v3/profile/{}/displayname",
        me["user_id"].as_str().unwrap()
    );
    person.ok("PUT", &path, &profile).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demo_and_its_backup_are_private_also_after_an_upgrade() {
    let dir = tempfile::tempdir().unwrap();
    let (data, port) = (dir.path().join("demo"), free_port());
    let port_text = port.to_string();
    let arguments = [
        "demo",
        "--json",
        "--data",
        text(&data),
        "--port",
        &port_text,
    ];
    let mut program = Program::new(&arguments, &dir.path().join("demo.log")).under(OPEN_UMASK);
    let ready = format!("http://127.0.0.1:{port}/_matrix/mau/ready");
    program.start(&ready).await;
    let facts = facts(&program).await;
    let (user, password) = (&facts["user_id"], &facts["password"]);
    let (user, password) = (user.as_str().unwrap(), password.as_str().unwrap());
    let url = format!("http://127.0.0.1:{port}");
    let person = Person::log_in(client_from("127.0.0.1"), &url, user, password).await;
    use_it(&person).await;
    assert_private(&data);
    program.stop().await;
    assert_private(&data);

    let (config, backups) = (data.join("config.yaml"), dir.path().join("backups"));
    let backup = [
        "backup",
        "create",
        "-c",
        text(&config),
        "--folder",
        text(&backups),
    ];
    program.run(&backup).await;
    assert_private(&backups);
    loosen(&backups);
    program.run(&backup).await;
    assert_private(&backups);
    let restored = dir.path().join("restored");
    let restore = [
        "backup",
        "restore",
        "-c",
        text(&config),
        "--folder",
        text(&backups),
        "--into",
        text(&restored),
    ];
    program.run(&restore).await;
    assert_private(&restored);

    loosen(&data);
    program.start(&ready).await;
    use_it(&person).await;
    assert_private(&data);
    program.stop().await;
    let log = program.log_text();
    assert_eq!(log.matches("readable by other users").count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bridge_with_its_own_homeserver_is_private_also_after_an_upgrade() {
    let dir = tempfile::tempdir().unwrap();
    let (data, port) = (dir.path().join("data"), free_port());
    let config = data.join("config.yaml");
    let socket = dir.path().join("homeserver.sock");
    let mut program = Program::new(
        &["run", "-c", text(&config)],
        &dir.path().join("bridge.log"),
    )
    .with("TUWUNEL_PORT", &port.to_string())
    .under(OPEN_UMASK);
    let init = ["init", "--dir", text(&data), "--homeserver", "embedded"];
    let flags = [
        "--domain",
        "letta.test",
        "--backend",
        "demo",
        "--admin",
        "@alice:letta.test",
    ];
    program.run(&[init.as_slice(), &flags].concat()).await;
    let ready = format!("http://127.0.0.1:{port}/_matrix/mau/ready");
    program.start(&ready).await;
    assert_private(&data);
    program.stop().await;

    // Earlier versions made the files of the configuration private already: whoever opens them means it.
    for made in ["journal", "homeserver"] {
        loosen(&data.join(made));
    }
    program.start(&ready).await;
    assert_private(&data);
    program.stop().await;
    let log = program.log_text();
    assert_eq!(log.matches("readable by other users").count(), 2, "{log}");

    // A socket has the mode that its configuration says.
    let alone = dir.path().join("alone");
    let database = format!("database_path=\"{}\"", text(&alone));
    let path = format!("unix_socket_path=\"{}\"", text(&socket));
    let arguments = [
        "homeserver",
        "-O",
        "server_name=\"letta.test\"",
        "-O",
        &database,
        "-O",
        &path,
        "-O",
        "unix_socket_perms=\"660\"",
        "--execute",
        "users create-user bob correct-horse-battery",
        "--execute",
        "server shutdown",
    ];
    program.run(&arguments).await;
    assert_private(&alone);
}
