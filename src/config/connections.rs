//! How much a peer can hold open at the port of the bridge.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use settings::Problem;
use system::connections::{
    BODY_TIMEOUT, CONNECTIONS_MAX, HEADER_TIMEOUT, IDLE_TIMEOUT, IpNet, LINGER_TIMEOUT, Limits,
    PER_ADDRESS_MAX, RESPONSE_TIMEOUT,
};

/// This machine, where reverse proxies run.
const DEFAULT_EXEMPT: [&str; 2] = ["127.0.0.0/8", "::1/128"];

/// What peers can hold open at `port`. Beyond it the oldest connections that wait for a request are closed first.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Connections {
    /// How many there are at the same time. Never more than the system's limit of open files allows.
    pub max: usize,
    /// How many of them come from one address. Of IPv6 addresses the first 64 bits count.
    pub max_per_ip: usize,
    /// Networks like `172.18.0.0/16` that are only under the first limit: those of reverse proxies.
    #[schemars(with = "Vec<String>")]
    pub max_per_ip_exempt: Vec<IpNet>,
    /// How long the head of a request may take to come.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub header_timeout: Duration,
    /// How long a connection stays open between two requests.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub idle_timeout: Duration,
    /// How long a body may keep the bridge waiting for 512 bytes for each of these seconds.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub body_timeout: Duration,
    /// How long a response may wait for its reader to take 512 bytes for each of these seconds.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub response_timeout: Duration,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            max: CONNECTIONS_MAX,
            max_per_ip: PER_ADDRESS_MAX,
            // Each of them parses; a test counts them.
            max_per_ip_exempt: DEFAULT_EXEMPT
                .iter()
                .filter_map(|net| net.parse().ok())
                .collect(),
            header_timeout: HEADER_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
            body_timeout: BODY_TIMEOUT,
            response_timeout: RESPONSE_TIMEOUT,
        }
    }
}

impl Connections {
    /// Limits of nothing, under which nobody could connect.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let limits = [
            ("max", self.max == 0, "max: 256"),
            ("max_per_ip", self.max_per_ip == 0, "max_per_ip: 128"),
            (
                "header_timeout",
                self.header_timeout.is_zero(),
                "header_timeout: 10s",
            ),
            (
                "idle_timeout",
                self.idle_timeout.is_zero(),
                "idle_timeout: 1m",
            ),
            (
                "body_timeout",
                self.body_timeout.is_zero(),
                "body_timeout: 30s",
            ),
            (
                "response_timeout",
                self.response_timeout.is_zero(),
                "response_timeout: 30s",
            ),
        ];
        let nothing = limits.into_iter().filter(|(_, is_nothing, _)| *is_nothing);
        nothing
            .map(|(key, _, example)| {
                Problem::value(
                    &format!("appservice.connections.{key}"),
                    "0 would let nobody in",
                    format!("set it like `{example}`, or leave it out"),
                )
            })
            .collect()
    }

    /// As they are kept, below this limit of descriptors.
    pub fn limits(&self, descriptors: u64) -> Limits {
        let limits = Limits {
            connections_max: self.max,
            per_address_max: self.max_per_ip,
            shared_addresses: self.max_per_ip_exempt.clone(),
            header_timeout: self.header_timeout,
            idle_timeout: self.idle_timeout,
            body_timeout: self.body_timeout,
            response_timeout: self.response_timeout,
            linger_timeout: LINGER_TIMEOUT,
        };
        limits.within(descriptors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reverse_proxy_on_this_machine_is_exempt_by_default() {
        let limits = Connections::default().limits(1_024);
        assert_eq!(limits.shared_addresses.len(), DEFAULT_EXEMPT.len());
        assert_eq!((limits.connections_max, limits.per_address_max), (256, 128));
    }
}
