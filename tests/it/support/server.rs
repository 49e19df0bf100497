//! A homeserver that other people's clients prove, whichever it is.

use std::path::{Path, PathBuf};

use super::embedded::Embedded;
use super::synapse::Synapse;

/// The token without which nobody registers: the clients must be able to go through that, too.
pub const REGISTRATION_TOKEN: &str = "only-who-knows-this";

/// What a client test needs of a homeserver. Every server name is [`super::synapse::DOMAIN`].
pub trait Server: Sized {
    /// Under which its known violations stand in `tests/clients/shapes/known.json`.
    const NAME: &'static str;

    /// Starts one in `dir`, with the appservice of this registration file, and waits until it answers.
    /// Whoever wants to register needs [`REGISTRATION_TOKEN`].
    async fn launch(dir: &Path, registration: Option<&Path>) -> Self;

    fn url(&self) -> String;

    /// To show when a test failed.
    fn logs(&self) -> Vec<PathBuf>;
}

impl Server for Synapse {
    const NAME: &'static str = "synapse";

    async fn launch(dir: &Path, registration: Option<&Path>) -> Self {
        let mut synapse = Self::new(dir).with_registration_token(REGISTRATION_TOKEN);
        synapse.lay_out(registration);
        synapse.start().await;
        synapse
    }

    fn url(&self) -> String {
        Self::url(self)
    }

    fn logs(&self) -> Vec<PathBuf> {
        Self::logs(self)
    }
}

impl Server for Embedded {
    const NAME: &'static str = "embedded";

    async fn launch(dir: &Path, registration: Option<&Path>) -> Self {
        let mut server = Self::new(dir).with_registration_token(REGISTRATION_TOKEN);
        server.lay_out(registration);
        server.start().await;
        server
    }

    fn url(&self) -> String {
        Self::url(self)
    }

    fn logs(&self) -> Vec<PathBuf> {
        vec![self.log()]
    }
}

/// The homeserver that the worlds of this run stand on: Synapse, or with `LETTA_TEST_HOMESERVER=embedded` the one that the
/// bridge brings along. The tests are the same.
pub enum Homeserver {
    Synapse(Synapse),
    Embedded(Embedded),
}

impl Homeserver {
    /// The one that this run is about. Chooses the port; nothing runs yet.
    pub fn chosen(dir: &Path) -> Self {
        match std::env::var("LETTA_TEST_HOMESERVER").as_deref() {
            Err(_) | Ok("" | "synapse") => Self::Synapse(Synapse::new(dir)),
            Ok("embedded") => Self::Embedded(Embedded::new(dir)),
            Ok(other) => panic!("LETTA_TEST_HOMESERVER is synapse or embedded, not {other}"),
        }
    }

    /// What the one that this run is about is called, for who cannot wait until it is there.
    pub fn chosen_name() -> &'static str {
        Self::chosen(Path::new("")).name()
    }

    /// What it is called where results are compared.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Synapse(_) => <Synapse as Server>::NAME,
            Self::Embedded(_) => <Embedded as Server>::NAME,
        }
    }

    pub fn url(&self) -> String {
        match self {
            Self::Synapse(server) => server.url(),
            Self::Embedded(server) => server.url(),
        }
    }

    /// Writes the configuration.
    pub fn lay_out(&self, registration: Option<&Path>) {
        match self {
            Self::Synapse(server) => server.lay_out(registration),
            Self::Embedded(server) => server.lay_out(registration),
        }
    }

    /// Starts it and waits until it answers.
    pub async fn start(&mut self) {
        match self {
            Self::Synapse(server) => server.start().await,
            Self::Embedded(server) => server.start().await,
        }
    }

    /// Stops it as an admin does.
    pub async fn stop(&mut self) {
        match self {
            Self::Synapse(server) => server.stop().await,
            Self::Embedded(server) => drop(server.stop().await),
        }
    }

    /// `kill -9`.
    pub async fn kill9(&mut self) {
        match self {
            Self::Synapse(server) => server.kill9().await,
            Self::Embedded(server) => server.kill9().await,
        }
    }

    pub fn logs(&self) -> Vec<PathBuf> {
        match self {
            Self::Synapse(server) => server.logs(),
            Self::Embedded(server) => vec![server.log()],
        }
    }
}
