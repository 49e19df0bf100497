//! Whom the server believes about the address of a client.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::config::units::OneOrMany;

/// Who is on this machine.
const DEFAULT_TRUSTED: [&str; 2] = ["127.0.0.0/8", "::1/128"];

/// The proxies before the server. Limits for each client, the log and the list of devices go by the address of the client, and
/// whoever could choose it would be under no limit.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Proxies {
    /// What tells the address of a client. Without it, `X-Forwarded-For` does, or else `Forwarded`, if a proxy of
    /// [`Self::trusted_proxies`] sends one.
    pub ip_source: Option<IpSource>,
    /// The networks of the proxies whose headers are believed, besides whoever connects over the socket in the file system. They
    /// are exempt from `max_connections_per_ip`.
    #[serde(serialize_with = "written", deserialize_with = "networks")]
    pub trusted_proxies: Vec<IpNet>,
}

/// What tells the address of a client: Tuwunel's values. A header counts only if a trusted proxy sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IpSource {
    /// The connection: there is no proxy, or the proxies are the clients.
    ConnectInfo,
    /// The last address of `X-Forwarded-For` that is no trusted proxy.
    RightmostXForwardedFor,
    /// The last `for=` of `Forwarded` that is no trusted proxy.
    RightmostForwarded,
    /// `X-Real-IP`.
    XRealIp,
    /// `CF-Connecting-IP`.
    CfConnectingIp,
    /// `True-Client-IP`.
    TrueClientIp,
    /// `Fly-Client-IP`.
    FlyClientIp,
    /// `CloudFront-Viewer-Address`.
    #[serde(rename = "cloudfront_viewer_address")]
    CloudFrontViewerAddress,
}

impl Default for Proxies {
    fn default() -> Self {
        Self {
            ip_source: None,
            // Each of them parses; a test counts them.
            trusted_proxies: DEFAULT_TRUSTED
                .iter()
                .filter_map(|net| net.parse().ok())
                .collect(),
        }
    }
}

impl Proxies {
    /// Whether a proxy at this address is believed. IPv4 in the form of IPv6 counts as IPv4.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted_proxies
            .iter()
            .any(|net| net.contains(&address))
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
    let texts = OneOrMany::<String>::deserialize(deserializer)?;
    texts.0.into_iter().map(parse).collect()
}
