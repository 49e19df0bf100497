//! How much a peer can hold open.

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use system::connections::{
    BODY_TIMEOUT, CONNECTIONS_MAX, HEADER_TIMEOUT, IDLE_TIMEOUT, LINGER_TIMEOUT, Limits,
    PER_ADDRESS_MAX, RESPONSE_TIMEOUT,
};

use super::Proxies;
use crate::config::units::seconds;

/// This machine, where reverse proxies run.
const DEFAULT_EXEMPT: [&str; 2] = ["127.0.0.0/8", "::1/128"];

/// The limits of connections. Beyond them the oldest connections that wait for a request are closed first, those of the address that
/// has the most of them before all others.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Connections {
    /// How many connections there are at the same time. Never more than half of the descriptors that the system allows and that the
    /// database does not need.
    pub max_connections: usize,
    /// How many of them come from one address. Of IPv6 addresses the first 64 bits count.
    pub max_connections_per_ip: usize,
    /// Networks of addresses that many users share: only `max_connections` is for them. [`Proxies::trusted_proxies`] are exempt
    /// without being named here.
    #[serde(serialize_with = "written", deserialize_with = "networks")]
    pub max_connections_per_ip_exempt: Vec<IpNet>,
    /// How long the head of a request may take to come, the handshake of TLS included, in seconds.
    #[serde(with = "seconds")]
    pub client_header_timeout: Duration,
    /// How long a connection stays open between two requests, in seconds.
    #[serde(with = "seconds")]
    pub client_idle_timeout: Duration,
    /// How long a body may keep the server waiting for 512 bytes for each of these seconds.
    #[serde(with = "seconds")]
    pub client_receive_timeout: Duration,
    /// How long a response may wait for its reader to take 512 bytes for each of these seconds.
    #[serde(with = "seconds")]
    pub client_response_timeout: Duration,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            max_connections: CONNECTIONS_MAX,
            max_connections_per_ip: PER_ADDRESS_MAX,
            // Each of them parses; a test counts them.
            max_connections_per_ip_exempt: DEFAULT_EXEMPT
                .iter()
                .filter_map(|net| net.parse().ok())
                .collect(),
            client_header_timeout: HEADER_TIMEOUT,
            client_idle_timeout: IDLE_TIMEOUT,
            client_receive_timeout: BODY_TIMEOUT,
            client_response_timeout: RESPONSE_TIMEOUT,
        }
    }
}

impl Connections {
    /// As they are kept, below this limit of descriptors. A trusted proxy connects for many clients, so it is under no limit of one
    /// address.
    pub fn limits(&self, proxies: &Proxies, descriptors: u64) -> Limits {
        let exempt = &self.max_connections_per_ip_exempt;
        let limits = Limits {
            connections_max: self.max_connections,
            per_address_max: self.max_connections_per_ip,
            shared_addresses: [&exempt[..], &proxies.trusted_proxies].concat(),
            header_timeout: self.client_header_timeout,
            idle_timeout: self.client_idle_timeout,
            body_timeout: self.client_receive_timeout,
            response_timeout: self.client_response_timeout,
            linger_timeout: LINGER_TIMEOUT,
        };
        limits.within(descriptors)
    }
}

fn written<S: Serializer>(networks: &[IpNet], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(networks.iter().map(ToString::to_string))
}

/// Networks, or single addresses.
fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let parse = |text: String| {
        let network = text.parse::<IpNet>().ok();
        let address = text.parse::<IpAddr>().ok();
        network.or(address.map(IpNet::from)).ok_or_else(|| {
            de::Error::custom(format_args!(
                "{text:?} is no network and no address; write it like \"172.18.0.0/16\" or \"10.0.0.7\""
            ))
        })
    };
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.into_iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reverse_proxy_on_this_machine_is_exempt_by_default() {
        let connections = Connections::default();
        let exempt = &connections.max_connections_per_ip_exempt;
        assert_eq!(exempt.len(), DEFAULT_EXEMPT.len());
        let limits = connections.limits(&Proxies::default(), 1_024);
        assert_eq!((limits.connections_max, limits.per_address_max), (256, 128));
    }
}
