//! A client for requests to others, made when the first one is sent.
//!
//! Making one reads all certificates that the system trusts. Three of them were most of what a start took and a good part of what
//! the server kept in memory, and most servers never ask anybody.

use std::sync::OnceLock;

use reqwest::{Client, ClientBuilder};

mod guarded;

pub(crate) use guarded::GuardedHttpClient;

/// A client that is made when it is needed.
pub(crate) struct LazyHttpClient {
    made: OnceLock<Client>,
    build: Box<dyn Fn(ClientBuilder) -> ClientBuilder + Send + Sync>,
}

impl std::fmt::Debug for LazyHttpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LazyHttpClient")
            .field("made", &self.made.get().is_some())
            .finish_non_exhaustive()
    }
}

impl LazyHttpClient {
    /// A client with these properties. It names itself, asks no proxy and follows no redirect.
    pub(crate) fn new(
        build: impl Fn(ClientBuilder) -> ClientBuilder + Send + Sync + 'static,
    ) -> Self {
        Self {
            made: OnceLock::new(),
            build: Box::new(build),
        }
    }

    /// The client.
    ///
    /// # Errors
    ///
    /// If the certificates of the system cannot be read.
    pub(crate) fn client(&self) -> reqwest::Result<&Client> {
        if let Some(made) = self.made.get() {
            return Ok(made);
        }
        // Whoever came first has installed the same one.
        drop(rustls::crypto::ring::default_provider().install_default());
        #[expect(
            clippy::disallowed_methods,
            reason = "this is where clients for other servers are made"
        )]
        let usual = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("homeserver/", env!("CARGO_PKG_VERSION")));
        let made = (self.build)(usual).build()?;
        Ok(self.made.get_or_init(|| made))
    }
}
