//! An HTTP client for addresses that users name: it connects to no network that the configuration forbids.
//!
//! What counts is the address that a name leads to, at the moment of connecting: the same look-up is checked and used, so that a
//! name cannot lead somewhere else in between, and the peer of the connection is checked once more before an answer is used.
//! Redirects are not followed and no proxy is asked. A place that is refused is said in the log once, not with every request.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use quick_cache::sync::Cache;
use reqwest::{
    RequestBuilder, Response,
    dns::{Addrs, Name, Resolve, Resolving},
};
use url::{Host, Url};

use super::LazyHttpClient;
use crate::{
    config::Outbound,
    limits::{OUTGOING_CONNECT_TIMEOUT, OUTGOING_REQUEST_TIMEOUT},
};

/// Of how many refused places it is remembered that the log says so already.
const WARNED_MAX: usize = 1_000;

/// Why an address is not asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// It is on a network that the server may not ask.
    #[error("{0} is on a network that ip_range_denylist forbids")]
    Forbidden(String),
    /// There is nobody to ask.
    #[error("no HTTP client")]
    NoClient(#[from] reqwest::Error),
}

/// The client. Clones are the same client.
#[derive(Clone, Debug)]
pub(crate) struct GuardedHttpClient {
    limits: Arc<Limits>,
    http: Arc<LazyHttpClient>,
}

/// What may be asked, and what was refused.
struct Limits {
    outbound: Outbound,
    warned: Cache<String, ()>,
}

impl std::fmt::Debug for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limits").finish_non_exhaustive()
    }
}

impl Limits {
    fn check(&self, address: IpAddr) -> Result<(), Refused> {
        if self.outbound.forbids(address) {
            return Err(self.refuse(address.to_string()));
        }
        Ok(())
    }

    fn refuse(&self, place: String) -> Refused {
        if self.warned.get(&place).is_none() {
            self.warned.insert(place.clone(), ());
            tracing::warn!(
                place,
                "not asked on behalf of a user: ip_range_denylist forbids it"
            );
        }
        Refused::Forbidden(place)
    }
}

/// Looks names up, and keeps what is not forbidden.
struct Resolver {
    limits: Arc<Limits>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let limits = Arc::clone(&self.limits);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found
                .filter(|address| !limits.outbound.forbids(address.ip()))
                .collect();
            if allowed.is_empty() {
                return Err(limits.refuse(name.as_str().to_owned()).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

impl GuardedHttpClient {
    /// A client that keeps to these limits.
    pub(crate) fn new(outbound: &Outbound) -> Self {
        let limits = Arc::new(Limits {
            outbound: outbound.clone(),
            warned: Cache::new(WARNED_MAX),
        });
        let resolving = Arc::clone(&limits);
        let http = LazyHttpClient::new(move |client| {
            let limits = Arc::clone(&resolving);
            client
                .dns_resolver(Arc::new(Resolver { limits }))
                .connect_timeout(OUTGOING_CONNECT_TIMEOUT)
                .timeout(OUTGOING_REQUEST_TIMEOUT)
        });
        Self {
            limits,
            http: Arc::new(http),
        }
    }

    /// A request to this address. Names are checked when they are looked up, numbers here.
    pub(crate) fn request(
        &self,
        method: reqwest::Method,
        url: &Url,
    ) -> Result<RequestBuilder, Refused> {
        match url.host() {
            Some(Host::Ipv4(address)) => self.limits.check(address.into())?,
            Some(Host::Ipv6(address)) => self.limits.check(address.into())?,
            _ => {}
        }
        Ok(self.http.client()?.request(method, url.clone()))
    }

    /// Sends a request of [`GuardedHttpClient::request`], and gives the answer if it came from where it may.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, Refused> {
        let response = request.send().await?;
        if let Some(peer) = response.remote_addr() {
            self.limits.check(peer.ip())?;
        }
        Ok(response)
    }

    /// How many places were refused, each once.
    #[cfg(test)]
    pub(crate) fn refused_places(&self) -> usize {
        self.limits.warned.len()
    }
}

#[cfg(test)]
mod tests;
