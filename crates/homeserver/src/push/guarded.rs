//! An HTTP client for addresses that users name: it connects to no network that the configuration forbids.
//!
//! What counts is the address that a name leads to, at the moment of connecting: the same look-up is checked and used, so that a
//! name cannot lead somewhere else in between. Redirects are not followed and no proxy is asked.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::{config::Outbound, http::Outgoing};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a whole request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Why an address is not asked.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It is on a network that the server may not ask.
    #[error("{0} is on a network of ip_range_denylist")]
    Forbidden(String),
    /// There is nobody to ask.
    #[error("no HTTP client")]
    NoClient(#[from] reqwest::Error),
}

/// The client. Clones are the same client.
#[derive(Clone, Debug)]
pub struct Guarded {
    outbound: Arc<Outbound>,
    http: Arc<Outgoing>,
}

/// Looks names up, and keeps what is not forbidden.
struct Resolver {
    outbound: Arc<Outbound>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let outbound = Arc::clone(&self.outbound);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found
                .filter(|address| !outbound.forbids(address.ip()))
                .collect();
            if allowed.is_empty() {
                return Err(Refused::Forbidden(name.as_str().to_owned()).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

impl Guarded {
    /// A client that keeps to these limits.
    pub fn new(outbound: &Outbound) -> Self {
        let outbound = Arc::new(outbound.clone());
        let allowed = Arc::clone(&outbound);
        let http = Outgoing::new(move |client| {
            let outbound = Arc::clone(&allowed);
            client
                .dns_resolver(Arc::new(Resolver { outbound }))
                .connect_timeout(CONNECT_TIMEOUT)
                .timeout(REQUEST_TIMEOUT)
        });
        Self {
            outbound,
            http: Arc::new(http),
        }
    }

    /// A request to this address. Names are checked when they are looked up, numbers here.
    pub fn request(
        &self,
        method: reqwest::Method,
        url: &Url,
    ) -> Result<reqwest::RequestBuilder, Refused> {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => Some(address.into()),
            Some(Host::Ipv6(address)) => Some(address.into()),
            _ => None,
        };
        match address {
            Some(address) if self.outbound.forbids(address) => {
                Err(Refused::Forbidden(address.to_string()))
            }
            _ => Ok(self.http.client()?.request(method, url.clone())),
        }
    }
}
