//! A database that cannot be written: the disk is full, files may not grow, no file can be opened. What was acknowledged is there
//! afterwards, what was not was refused in words, and the process goes on or ends with its exit code, never by a signal.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::support::{Homeserver, LOOK, PATIENCE, Person, Program, client_from, text};

/// How the program ends when its store has to be opened anew.
const STORE_LOST: i32 = 74;
/// More messages than fit anywhere here.
const MESSAGES_MAX: usize = 4_000;
/// Connections that may be closed under a request: a program without descriptors closes those that wait.
const UNANSWERED_MAX: usize = 20;
/// The size of one message, in bytes.
const MESSAGE_BYTES: usize = 50_000;
/// The disk of a test, in MiB.
const DISK_MIB: usize = 96;
/// What else is on it, in MiB.
const BALLAST_MIB: usize = 64;

/// A small disk, where this machine lets a test have one; otherwise files that may not grow, which is the same to whoever writes.
pub enum SmallDisk {
    Mounted { folder: PathBuf },
    FilesMayNotGrow { folder: PathBuf },
}

impl SmallDisk {
    pub fn at(folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        let folder = folder.to_owned();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={DISK_MIB}m"), "tmpfs"])
            .arg(&folder)
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Self::Mounted { folder };
        }
        println!("no small disk can be mounted here: files may not grow instead");
        Self::FilesMayNotGrow { folder }
    }

    pub fn folder(&self) -> &Path {
        match self {
            Self::Mounted { folder } | Self::FilesMayNotGrow { folder } => folder,
        }
    }

    /// Leaves the program hardly any room.
    pub fn fill(&self, program: &mut Program) {
        match self {
            Self::Mounted { folder } => {
                fs::write(folder.join("ballast"), vec![0; BALLAST_MIB << 20]).unwrap();
            }
            Self::FilesMayNotGrow { .. } => program.limit("fsize=1000000:unlimited"),
        }
    }

    /// Gives the room back.
    pub fn free(&self) {
        // A limit of the process ends with it.
        if let Self::Mounted { folder } = self {
            fs::remove_file(folder.join("ballast")).unwrap();
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Self::Mounted { folder } = self {
            let unmounted = std::process::Command::new("umount")
                .arg("--lazy")
                .arg(&*folder)
                .status();
            drop(unmounted);
        }
    }
}

/// Somebody who sends messages, and keeps the numbers of those that were acknowledged.
struct Sender {
    person: Person,
    room: String,
    next: usize,
    acknowledged: Vec<usize>,
}

impl Sender {
    async fn new(server: &Homeserver) -> Self {
        let person = Person::register(client_from("127.0.0.1"), &server.url(), "alice").await;
        let room = person.create_room().await;
        let mut sender = Self {
            person,
            room,
            next: 0,
            acknowledged: Vec::new(),
        };
        for _ in 0..10 {
            assert!(sender.send().await, "there is room");
        }
        sender
    }

    /// Sends one message. Whether it was acknowledged; otherwise it was refused in words.
    async fn send(&mut self) -> bool {
        self.try_send().await.expect("an answer")
    }

    /// The same; nothing if the program has closed the connection or has ended.
    async fn try_send(&mut self) -> Option<bool> {
        let number = self.next;
        self.next += 1;
        let sent = self.person.send(&self.room, number, MESSAGE_BYTES).await;
        let (status, answer) = sent.ok()?;
        if status.is_success() {
            self.acknowledged.push(number);
            return Some(true);
        }
        assert_eq!(status, 503, "{answer}");
        assert_eq!(answer["errcode"], "M_UNKNOWN");
        let words = answer["error"].as_str().unwrap();
        assert!(words.contains("cannot save anything"), "{words}");
        Some(false)
    }

    async fn send_until_refused(&mut self) {
        let mut unanswered = 0;
        for _ in 0..MESSAGES_MAX {
            match self.try_send().await {
                Some(true) => {}
                Some(false) => return,
                None if unanswered == UNANSWERED_MAX => return,
                None => unanswered += 1,
            }
        }
        panic!("{MESSAGES_MAX} messages were acknowledged");
    }

    /// Everything that was acknowledged is there, in order. What was not may be there.
    async fn assert_whole(&self) {
        let found = self.person.numbers(&self.room).await;
        let missing: Vec<_> = self
            .acknowledged
            .iter()
            .filter(|number| !found.contains(number))
            .collect();
        assert!(missing.is_empty(), "acknowledged and lost: {missing:?}");
        assert!(found.is_sorted(), "{found:?}");
    }
}

/// Waits until the program has ended because of its store.
async fn until_ended(program: &mut Program) {
    let ended = async {
        loop {
            if let Some(status) = program.ended() {
                return status;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let status = tokio::time::timeout(PATIENCE, ended).await.unwrap();
    assert_eq!(status.code(), Some(STORE_LOST), "{status}");
    let log = program.log_text();
    assert!(log.contains("must be opened anew"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_disk_refuses_writes_and_loses_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let disk = SmallDisk::at(&dir.path().join("disk"));
    let mut server = Homeserver::new(dir.path(), &disk.folder().join("database"), "");
    server.start().await;
    let mut sender = Sender::new(&server).await;
    disk.fill(&mut server.program);
    sender.send_until_refused().await;
    assert!(
        server
            .program
            .log_text()
            .contains("store cannot be written"),
        "{}",
        server.program.tail()
    );
    if let SmallDisk::Mounted { .. } = disk {
        // It reads on, and says what is wrong.
        sender.assert_whole().await;
        let (status, ready) = sender
            .person
            .ask("GET", "/health", &json!({}))
            .await
            .unwrap();
        assert_eq!(status, 503, "{ready}");
        assert_eq!(ready["ready"], false);
        let reason = ready["unwritable"]["database"].as_str().unwrap();
        assert!(reason.contains("No space left on device"), "{reason}");
        for _ in 0..10 {
            assert!(!sender.send().await, "the disk is still full");
        }
        let file = vec![b'x'; 8 << 20];
        let status = sender.person.upload_status(file).await;
        assert_eq!(status, 503);
    }
    disk.free();
    match disk {
        SmallDisk::Mounted { .. } => {
            let again = async {
                while !sender.send().await {
                    tokio::time::sleep(LOOK).await;
                }
            };
            tokio::time::timeout(PATIENCE, again).await.unwrap();
            let until_ready = async {
                let health = async || sender.person.ask("GET", "/health", &json!({})).await;
                while health().await.unwrap().0 != 200 {
                    tokio::time::sleep(LOOK).await;
                }
            };
            tokio::time::timeout(PATIENCE, until_ready).await.unwrap();
            let log = server.program.log_text();
            assert!(log.contains("store can be written again"), "{log}");
            sender.assert_whole().await;
            server.program.stop().await;
        }
        SmallDisk::FilesMayNotGrow { .. } => until_ended(&mut server.program).await,
    }
    server.start().await;
    assert!(sender.send().await, "it can be written");
    sender.assert_whole().await;
    server.program.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_size_limit_ends_the_process_with_its_code_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Homeserver::new(dir.path(), &dir.path().join("database"), "");
    server.start().await;
    let mut sender = Sender::new(&server).await;
    server.program.limit("fsize=1000000:unlimited");
    sender.send_until_refused().await;
    until_ended(&mut server.program).await;
    server.start().await;
    assert!(sender.send().await, "it can be written");
    sender.assert_whole().await;
    server.program.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exhausted_descriptors_end_the_process_with_its_code_and_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Homeserver::new(dir.path(), &dir.path().join("database"), "");
    server.start().await;
    let mut sender = Sender::new(&server).await;
    // None is left for the next file of the store. The connection is there already.
    let none_left = server.program.descriptors();
    server.program.limit(&format!("nofile={none_left}"));
    sender.send_until_refused().await;
    until_ended(&mut server.program).await;
    server.start().await;
    assert!(sender.send().await, "it can be written");
    sender.assert_whole().await;
    server.program.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_on_the_full_disk_costs_nobody_an_answer() {
    let dir = tempfile::tempdir().unwrap();
    let disk = SmallDisk::at(&dir.path().join("disk"));
    let mut server = Homeserver::new(dir.path(), &disk.folder().join("database"), "");
    server.program.log = disk.folder().join("homeserver.log");
    server.start().await;
    let mut sender = Sender::new(&server).await;
    disk.fill(&mut server.program);
    sender.send_until_refused().await;
    if let SmallDisk::Mounted { folder } = &disk {
        // To the last byte.
        let rest = std::process::Command::new("dd")
            .args(["if=/dev/zero", "bs=4096", "status=none"])
            .arg(format!("of={}", text(&folder.join("rest"))))
            .output();
        assert!(!rest.unwrap().status.success(), "the disk is not full");
        for number in 0..20 {
            assert!(!sender.send().await);
            // Each of these is a line of the log, written while the request is answered: more than fits its last page.
            let user = format!("nobody{number}{}", "x".repeat(200));
            let login = json!({
                "type": "m.login.password", "password": "wrong",
                "identifier": { "type": "m.id.user", "user": user },
            });
            let path = "/_matrix/client/v3/login";
            let (status, answer) = sender.person.ask("POST", path, &login).await.unwrap();
            assert_eq!(status, 403, "{answer}");
        }
        sender.assert_whole().await;
        fs::remove_file(folder.join("rest")).unwrap();
    }
    disk.free();
}
