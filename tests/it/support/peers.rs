//! Where the real peers are. `scripts/peers.sh` puts them there, once per machine.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of the peers. Installs them if this machine has none; a failure says what is missing.
pub fn peers() -> &'static Path {
    static PEERS: OnceLock<PathBuf> = OnceLock::new();
    PEERS.get_or_init(|| {
        let made = Command::new("bash")
            .arg(root().join("scripts/peers.sh"))
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .expect("bash is there");
        assert!(
            made.status.success(),
            "scripts/peers.sh could not make the peers, see above"
        );
        PathBuf::from(String::from_utf8(made.stdout).expect("a path").trim_end())
    })
}

/// The Python that has Synapse and matrix-nio.
pub fn python() -> PathBuf {
    peers().join("venv/bin/python")
}
