//! Who holds a part of what is scarce: permits, threads, the memory of bodies, slots in a queue.
//!
//! Everything that is bounded for each caller counts by a [`Holder`], so that a caller is the same one everywhere.

use std::net::{IpAddr, Ipv6Addr};

use ruma::OwnedUserId;

/// How many bits of an IPv6 address name the customer of a network; the rest is the customer's to choose.
const IPV6_NETWORK_BITS: u32 = 64;

/// Who holds something.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    /// Nobody who is known: whoever is in this network.
    Address(Option<IpAddr>),
    /// A user.
    User(OwnedUserId),
    /// An application service, by its id, as whichever user it acts.
    Appservice(String),
    /// A follower of the stream, by its name.
    Follower(String),
}

impl Holder {
    /// Whoever calls from this address without a token.
    pub fn anonymous(address: Option<IpAddr>) -> Self {
        Self::Address(address.map(network_of))
    }
}

/// What one client is told from another by: its IPv4 address, or its network of IPv6 (/64), which is what one customer gets.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let host_bits = 128 - IPV6_NETWORK_BITS;
            Ipv6Addr::from_bits(address.to_bits() >> host_bits << host_bits).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_customers_count_as_one_network() {
        let of = |text: &str| network_of(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("2001:db8:1:2:ffff::1"), "2001:db8:1:2::");
        assert_ne!(of("2001:db8:1:3::1"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(of("192.0.2.1"), "192.0.2.1");
    }
}
