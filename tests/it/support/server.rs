//! A homeserver that other people's clients prove, whichever it is.

use std::path::{Path, PathBuf};

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
