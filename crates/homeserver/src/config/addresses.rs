//! What an address is, whatever it is written as: the addresses that it also stands for, and whether anybody can be there at all.
//!
//! An IPv6 address can carry an IPv4 address, and a kernel or a relay takes it there; the unspecified address leads to this machine.
//! A list of forbidden networks has to be asked about each of them. Source: the special-purpose registries,
//! <https://www.iana.org/assignments/iana-ipv4-special-registry> and <https://www.iana.org/assignments/iana-ipv6-special-registry>.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The first bits of an IPv6 address that carries an IPv4 address, and in which of its bytes it does.
struct Carrier {
    prefix: Ipv6Addr,
    prefix_bits: u32,
    bytes: [usize; 4],
    /// Whether the bits are turned around (Teredo).
    inverted: bool,
}

const fn carrier(prefix: Ipv6Addr, prefix_bits: u32, bytes: [usize; 4]) -> Carrier {
    Carrier {
        prefix,
        prefix_bits,
        bytes,
        inverted: false,
    }
}

/// The last four bytes.
const LAST: [usize; 4] = [12, 13, 14, 15];

/// All that are in use or were.
const CARRIERS: [Carrier; 7] = [
    // IPv4-mapped, RFC 4291.
    carrier(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, LAST),
    // IPv4-compatible, RFC 4291, deprecated.
    carrier(Ipv6Addr::UNSPECIFIED, 96, LAST),
    // IPv4-translated, RFC 2765.
    carrier(Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), 96, LAST),
    // NAT64, RFC 6052.
    carrier(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96, LAST),
    // NAT64 of a local network, RFC 8215.
    carrier(Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, LAST),
    // 6to4, RFC 3056.
    carrier(Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, [2, 3, 4, 5]),
    // Teredo, RFC 4380: the client behind the relay.
    Carrier {
        prefix: Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0),
        prefix_bits: 32,
        bytes: LAST,
        inverted: true,
    },
];

/// The interface identifiers of ISATAP, RFC 5214: an IPv4 address in any IPv6 network.
const ISATAP: [[u8; 4]; 2] = [[0, 0, 0x5e, 0xfe], [2, 0, 0x5e, 0xfe]];

/// The address itself and all others that it stands for.
pub(crate) fn equivalent_addresses(address: IpAddr) -> Vec<IpAddr> {
    let mut meanings = vec![address];
    if let IpAddr::V6(address) = address {
        meanings.extend(carried(address).map(IpAddr::V4));
    }
    // The unspecified address leads to this machine.
    if meanings.iter().any(IpAddr::is_unspecified) {
        meanings.extend([
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ]);
    }
    meanings
}

fn carried(address: Ipv6Addr) -> impl Iterator<Item = Ipv4Addr> {
    let octets = address.octets();
    let pick = move |bytes: [usize; 4]| bytes.map(|at| octets[at]);
    let in_prefix = CARRIERS.iter().filter(move |carrier| {
        let differ = address.to_bits() ^ carrier.prefix.to_bits();
        // `::1` is IPv6's own loopback, and carries nothing.
        differ.leading_zeros() >= carrier.prefix_bits && !address.is_loopback()
    });
    let in_prefix = in_prefix.map(move |carrier| {
        let bytes = pick(carrier.bytes);
        if carrier.inverted {
            bytes.map(|byte| !byte)
        } else {
            bytes
        }
    });
    let isatap = ISATAP.contains(&pick([8, 9, 10, 11]));
    let isatap = isatap.then(|| pick(LAST));
    in_prefix.chain(isatap).map(Ipv4Addr::from)
}

/// Whether nobody can have this address, so that a request to it can only be meant badly: this network, broadcast, multicast,
/// documentation, and what is reserved.
pub(crate) fn is_unassignable(address: IpAddr) -> bool {
    /// 240.0.0.0/4.
    const RESERVED_FROM: u8 = 240;
    match address {
        IpAddr::V4(address) => {
            let first = address.octets()[0];
            first == 0
                || first >= RESERVED_FROM
                || address.is_multicast()
                || address.is_documentation()
        }
        IpAddr::V6(address) => {
            let segments = address.segments();
            address.is_unspecified()
                || address.is_multicast()
                // Documentation: 2001:db8::/32 and 3fff::/20. Discarded: 100::/64.
                || (segments[0] == 0x2001 && segments[1] == 0xdb8)
                || (segments[0] == 0x3fff && segments[1] < 0x1000)
                || segments[..4] == [0x100, 0, 0, 0]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_address_means_the_ipv4_address_that_it_carries() {
        for text in [
            "::ffff:10.1.2.3",
            "::10.1.2.3",
            "::ffff:0:10.1.2.3",
            "64:ff9b::10.1.2.3",
            "64:ff9b:1::10.1.2.3",
            "2002:a01:203::1",
            "2001:0:808:808:0:0:f5fe:fdfc",
            "fe80::5efe:10.1.2.3",
            "2606:4700::200:5efe:10.1.2.3",
        ] {
            let meanings = equivalent_addresses(text.parse().unwrap());
            let carried: IpAddr = "10.1.2.3".parse().unwrap();
            assert!(meanings.contains(&carried), "{text}: {meanings:?}");
        }
        let loopback: IpAddr = "::1".parse().unwrap();
        assert_eq!(equivalent_addresses(loopback), [loopback]);
    }

    #[test]
    fn addresses_of_nobody_are_told_from_those_of_somebody() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "::",
            "ff02::1",
            "2001:db8::1",
            "3fff::1",
            "100::1",
        ] {
            assert!(is_unassignable(text.parse().unwrap()), "{text}");
        }
        for text in [
            "127.0.0.1",
            "10.0.0.1",
            "1.1.1.1",
            "::1",
            "fd00::1",
            "2606:4700::1111",
        ] {
            assert!(!is_unassignable(text.parse().unwrap()), "{text}");
        }
    }
}
