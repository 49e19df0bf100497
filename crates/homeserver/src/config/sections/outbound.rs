//! Which addresses the server itself asks: previews of links, and the networks that are off limits.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use url::Url;

use crate::config::{
    addresses::{equivalent_addresses, is_unassignable},
    units::Bytes,
};

/// What allows everything, in a list of what is allowed.
const ANYTHING: &str = "*";

/// Networks that are not the internet: Tuwunel's list, and behind it what the registries of IANA know besides. An IPv6 address
/// that carries an IPv4 one (NAT64 among them) is also judged by that.
const DEFAULT_DENYLIST: [&str; 28] = [
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "192.0.0.0/24",
    "169.254.0.0/16",
    "192.88.99.0/24",
    "198.18.0.0/15",
    "192.0.2.0/24",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "::1/128",
    "fe80::/10",
    "fc00::/7",
    "2001:db8::/32",
    "ff00::/8",
    "fec0::/10",
    "0.0.0.0/8",
    "240.0.0.0/4",
    "::/128",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/23",
    "2002::/16",
    "3fff::/20",
    "5f00::/16",
];

/// How much of a page is read in search of its title and picture.
const DEFAULT_MAX_SPIDER_SIZE: Bytes = Bytes(768 << 10);

/// Requests of the server to hosts that its users name. Without an entry in one of the lists of what
/// is allowed there are no previews.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Outbound {
    /// Networks that the server never asks on behalf of a user.
    #[serde(serialize_with = "written", deserialize_with = "networks")]
    pub ip_range_denylist: Vec<IpNet>,
    /// Texts of which one must stand in the name of the host.
    pub url_preview_domain_contains_allowlist: Vec<String>,
    /// Names of hosts.
    pub url_preview_domain_explicit_allowlist: Vec<String>,
    /// Names of hosts that are never asked, whatever the other lists say.
    pub url_preview_domain_explicit_denylist: Vec<String>,
    /// Texts of which one must stand in the whole address.
    pub url_preview_url_contains_allowlist: Vec<String>,
    /// How much of a page is read, in bytes.
    pub url_preview_max_spider_size: Bytes,
    /// Whether a host is allowed, too, if a domain above it is in one of the lists of domains.
    pub url_preview_check_root_domain: bool,
}

impl Default for Outbound {
    fn default() -> Self {
        Self {
            // Each of them parses; a test counts them.
            ip_range_denylist: DEFAULT_DENYLIST
                .iter()
                .filter_map(|net| net.parse().ok())
                .collect(),
            url_preview_domain_contains_allowlist: Vec::new(),
            url_preview_domain_explicit_allowlist: Vec::new(),
            url_preview_domain_explicit_denylist: Vec::new(),
            url_preview_url_contains_allowlist: Vec::new(),
            url_preview_max_spider_size: DEFAULT_MAX_SPIDER_SIZE,
            url_preview_check_root_domain: false,
        }
    }
}

impl Outbound {
    /// Whether the server may not connect to `address`, or to any other that it stands for. Addresses that nobody can have are
    /// forbidden whatever the list says.
    pub fn forbids(&self, address: IpAddr) -> bool {
        let denylist = &self.ip_range_denylist;
        equivalent_addresses(address).into_iter().any(|address| {
            is_unassignable(address) || denylist.iter().any(|net| net.contains(&address))
        })
    }

    /// Whether a preview of `url` may be made. Its address still has to pass [`Outbound::forbids`].
    pub fn allows_preview(&self, url: &Url) -> bool {
        let Some(host) = url
            .host_str()
            .filter(|_| matches!(url.scheme(), "http" | "https"))
        else {
            return false;
        };
        let denied = &self.url_preview_domain_explicit_denylist;
        if self
            .names(host)
            .any(|name| denied.iter().any(|entry| entry == name))
        {
            return false;
        }
        let allows = |list: &[String], fits: &dyn Fn(&str) -> bool| {
            list.iter().any(|entry| entry == ANYTHING || fits(entry))
        };
        self.names(host).any(|name| {
            allows(&self.url_preview_domain_explicit_allowlist, &|entry| {
                entry == name
            }) || allows(&self.url_preview_domain_contains_allowlist, &|entry| {
                name.contains(entry)
            })
        }) || allows(&self.url_preview_url_contains_allowlist, &|entry| {
            url.as_str().contains(entry)
        })
    }

    /// The host, and the domains above it that have a dot, if they count.
    fn names<'a>(&self, host: &'a str) -> impl Iterator<Item = &'a str> {
        let above = |name: &&'a str| name.split_once('.').map(|(_, above)| above);
        let levels = if self.url_preview_check_root_domain {
            usize::MAX
        } else {
            1
        };
        let names = std::iter::successors(Some(host), above).take(levels);
        names
            .enumerate()
            .filter(|(level, name)| *level == 0 || name.contains('.'))
            .map(|(_, n)| n)
    }
}

fn written<S: Serializer>(networks: &[IpNet], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(networks.iter().map(ToString::to_string))
}

fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let parse = |text: String| {
        text.parse().map_err(|_| {
            de::Error::custom(format_args!(
                "{text:?} is no network; write it like \"10.0.0.0/8\""
            ))
        })
    };
    Vec::<String>::deserialize(deserializer)?
        .into_iter()
        .map(parse)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preview(outbound: &Outbound, url: &str) -> bool {
        outbound.allows_preview(&url.parse().unwrap())
    }

    #[test]
    fn every_default_network_parses_and_forbids() {
        let outbound = Outbound::default();
        assert_eq!(outbound.ip_range_denylist.len(), DEFAULT_DENYLIST.len());
        assert!(outbound.forbids("127.0.0.1".parse().unwrap()));
        assert!(outbound.forbids("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!outbound.forbids("1.1.1.1".parse().unwrap()));
    }

    #[test]
    fn short_denylist_forbids_every_address_that_means_one_of_its_networks() {
        let outbound = Outbound {
            ip_range_denylist: vec!["127.0.0.0/8".parse().unwrap()],
            ..Outbound::default()
        };
        for text in [
            "127.0.0.1",
            "0.0.0.0",
            "::",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
        ] {
            assert!(outbound.forbids(text.parse().unwrap()), "{text}");
        }
        let open = Outbound {
            ip_range_denylist: Vec::new(),
            ..Outbound::default()
        };
        for text in ["127.0.0.1", "::1", "10.0.0.1", "::ffff:10.0.0.1"] {
            assert!(!open.forbids(text.parse().unwrap()), "{text}");
        }
        assert!(open.forbids("255.255.255.255".parse().unwrap()));
        // A network with IPv6 alone reaches everybody else through NAT64.
        assert!(!Outbound::default().forbids("64:ff9b::101:101".parse().unwrap()));
    }

    #[test]
    fn nothing_is_previewed_until_something_is_allowed() {
        assert!(!preview(&Outbound::default(), "https://example.org/"));
    }

    #[test]
    fn the_lists_allow_and_deny() {
        let outbound = Outbound {
            url_preview_domain_explicit_allowlist: vec!["example.org".to_owned()],
            url_preview_domain_contains_allowlist: vec!["wiki".to_owned()],
            url_preview_domain_explicit_denylist: vec!["evilwiki.org".to_owned()],
            url_preview_url_contains_allowlist: vec!["/allowed/".to_owned()],
            ..Outbound::default()
        };
        assert!(preview(&outbound, "https://example.org/x"));
        assert!(!preview(&outbound, "https://www.example.org/x"));
        assert!(!preview(&outbound, "ftp://example.org/x"));
        assert!(preview(&outbound, "https://en.wikipedia.org/"));
        assert!(!preview(&outbound, "https://evilwiki.org/allowed/"));
        assert!(preview(&outbound, "https://other.org/allowed/x"));
        let above = Outbound {
            url_preview_check_root_domain: true,
            ..outbound
        };
        assert!(preview(&above, "https://www.example.org/x"));
        assert!(!preview(&above, "https://other.org/x"));
    }
}
