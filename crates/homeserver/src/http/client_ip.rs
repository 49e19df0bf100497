//! The address of a client: the one function that says it, for limits, the log and the list of devices.
//!
//! A header names it only if the connection comes from a trusted proxy (`trusted_proxies`, or whoever may use the socket in the file
//! system): anybody else would choose an address and be under no limit. A proxy appends to `X-Forwarded-For` and `Forwarded`, so
//! they are read from the right, past the proxies that are trusted, and what stands left of the first that is not is hearsay.
//!
//! `axum-client-ip`, which Tuwunel takes its values of `ip_source` from, believes whoever connects; see `docs/decisions.md`.
//! Spec: <https://www.rfc-editor.org/rfc/rfc7239>

use std::{
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicBool, Ordering},
};

use axum::extract::ConnectInfo;
use http::{HeaderMap, header, request::Parts};

use system::connections::Peer;

use crate::config::{IpSource, Proxies};

const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// Whether the log knows already that a proxy is not trusted.
static WARNED: AtomicBool = AtomicBool::new(false);

/// The address of the client; nothing if nobody says it, as in process or over a socket in the file system.
pub(super) fn of(parts: &Parts, proxies: &Proxies) -> Option<IpAddr> {
    let peer = parts.extensions.get::<ConnectInfo<Peer>>();
    let peer = peer.and_then(|info| info.0.0).map(|ip| ip.to_canonical());
    if proxies.ip_source == Some(IpSource::ConnectInfo) {
        return peer;
    }
    // Whoever may use the socket in the file system is one whom the admin has let in.
    if peer.is_none_or(|peer| proxies.trusts(peer)) {
        return from_headers(&parts.headers, proxies).or(peer);
    }
    if let Some(peer) = peer
        && from_headers(&parts.headers, proxies).is_some()
        && !WARNED.swap(true, Ordering::Relaxed)
    {
        tracing::warn!(
            %peer,
            "a request names its client in a header, but comes from no trusted proxy: the header is ignored, and all clients \
             behind this address count as one; if it is a proxy of yours, add it to `trusted_proxies`"
        );
    }
    peer
}

/// The client that a trusted proxy names.
fn from_headers(headers: &HeaderMap, proxies: &Proxies) -> Option<IpAddr> {
    let single = |name: &str| parse_node(headers.get(name)?.to_str().ok()?);
    match proxies.ip_source {
        // A proxy that sends the one passes the other on as the client sent it.
        None if headers.contains_key(X_FORWARDED_FOR) => x_forwarded_for(headers, proxies),
        None | Some(IpSource::RightmostForwarded) => forwarded(headers, proxies),
        Some(IpSource::ConnectInfo) => None,
        Some(IpSource::RightmostXForwardedFor) => x_forwarded_for(headers, proxies),
        Some(IpSource::XRealIp) => single("x-real-ip"),
        Some(IpSource::CfConnectingIp) => single("cf-connecting-ip"),
        Some(IpSource::TrueClientIp) => single("true-client-ip"),
        Some(IpSource::FlyClientIp) => single("fly-client-ip"),
        Some(IpSource::CloudFrontViewerAddress) => {
            let text = headers.get("cloudfront-viewer-address")?.to_str().ok()?;
            // Its IPv6 has no brackets, but always a port.
            let address = text.rsplit_once(':').and_then(|(ip, _)| ip.parse().ok());
            address.or_else(|| parse_node(text))
        }
    }
}

fn x_forwarded_for(headers: &HeaderMap, proxies: &Proxies) -> Option<IpAddr> {
    let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
    let nodes = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
    rightmost(nodes.map(parse_node), proxies)
}

fn forwarded(headers: &HeaderMap, proxies: &Proxies) -> Option<IpAddr> {
    let lines = headers.get_all(header::FORWARDED).iter().rev();
    let elements = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
    rightmost(elements.map(forwarded_for), proxies)
}

/// The first address from the right that is no trusted proxy. If all are, the farthest; nothing is read beyond what is no address.
fn rightmost(nodes: impl Iterator<Item = Option<IpAddr>>, proxies: &Proxies) -> Option<IpAddr> {
    let mut farthest = None;
    for node in nodes {
        let Some(address) = node else { break };
        farthest = Some(address);
        if !proxies.trusts(address) {
            break;
        }
    }
    farthest
}

/// `for=` of one element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let is_for = name.trim().eq_ignore_ascii_case("for");
        is_for.then(|| parse_node(value.trim().trim_matches('"')))?
    })
}

/// An address, with or without a port or brackets.
fn parse_node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    let address = bare.parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    address
        .or_else(with_port)
        .map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    /// What the address of a client is, for a connection from `peer` with these headers.
    fn client(proxies: &Proxies, peer: Option<&str>, headers: &[(&str, &str)]) -> String {
        let mut request = Request::builder().uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let peer = Peer(peer.map(|peer| peer.parse().unwrap()));
        let request = request.extension(ConnectInfo(peer)).body(()).unwrap();
        let found = of(&request.into_parts().0, proxies);
        found.map_or_else(|| "nobody".to_owned(), |ip| ip.to_string())
    }

    fn trusting(networks: &[&str]) -> Proxies {
        Proxies {
            trusted_proxies: networks.iter().map(|net| net.parse().unwrap()).collect(),
            ..Proxies::default()
        }
    }

    #[test]
    fn header_of_a_stranger_is_not_believed() {
        let proxies = Proxies::default();
        let lies = [
            ("x-forwarded-for", "198.51.100.1"),
            ("forwarded", "for=198.51.100.2"),
            ("x-real-ip", "198.51.100.3"),
            ("cf-connecting-ip", "198.51.100.4"),
        ];
        for peer in [
            "203.0.113.9",
            "192.168.1.7",
            "10.0.0.2",
            "172.18.0.3",
            "fd00::1",
            "fe80::1",
        ] {
            assert_eq!(client(&proxies, Some(peer), &lies), peer);
        }
        for peer in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(
                client(&proxies, Some(peer), &lies),
                "198.51.100.1",
                "{peer}"
            );
        }
        assert_eq!(client(&proxies, None, &lies), "198.51.100.1");
        assert_eq!(client(&proxies, None, &[]), "nobody");
        assert_eq!(client(&proxies, Some("127.0.0.1"), &[]), "127.0.0.1");
        assert_eq!(
            client(&proxies, Some("::ffff:203.0.113.9"), &[]),
            "203.0.113.9"
        );
    }

    #[test]
    fn rightmost_address_that_is_no_proxy_counts() {
        let proxies = trusting(&["127.0.0.0/8", "172.18.0.0/16", "2001:db8:1::/48"]);
        for (header, client_is) in [
            ("203.0.113.9", "203.0.113.9"),
            ("198.51.100.1, 203.0.113.9", "203.0.113.9"),
            ("198.51.100.1, 203.0.113.9, 172.18.0.2", "203.0.113.9"),
            (
                "198.51.100.1,203.0.113.9,2001:db8:1::5,172.18.0.2",
                "203.0.113.9",
            ),
            ("203.0.113.9:5678, [2001:db8:1::5]:443", "203.0.113.9"),
            ("203.0.113.9, [2001:db8:1::5]", "203.0.113.9"),
            // What a client made up ends where the first trusted proxy wrote what it saw.
            ("198.51.100.1, nonsense, 172.18.0.2", "172.18.0.2"),
            ("127.0.0.1, 172.18.0.2", "127.0.0.1"),
            ("unknown", "127.0.0.1"),
            ("", "127.0.0.1"),
            ("203.0.113.9, ", "127.0.0.1"),
        ] {
            let found = client(&proxies, Some("127.0.0.1"), &[("x-forwarded-for", header)]);
            assert_eq!(found, client_is, "{header}");
        }
        let two_lines = [
            ("x-forwarded-for", "198.51.100.1"),
            ("x-forwarded-for", "203.0.113.9"),
        ];
        assert_eq!(
            client(&proxies, Some("172.18.0.9"), &two_lines),
            "203.0.113.9"
        );
    }

    #[test]
    fn forwarded_is_read_as_the_standard_has_it() {
        let proxies = trusting(&["127.0.0.1/32"]);
        for (header, client_is) in [
            ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
            (
                "proto=https; For=\"[2001:db8:cafe::17]:4711\"",
                "2001:db8:cafe::17",
            ),
            ("for=192.0.2.43, for=198.51.100.17", "198.51.100.17"),
            ("for=192.0.2.43, for=\"_hidden\"", "127.0.0.1"),
            ("for=unknown", "127.0.0.1"),
            ("proto=https", "127.0.0.1"),
        ] {
            let found = client(&proxies, Some("127.0.0.1"), &[("forwarded", header)]);
            assert_eq!(found, client_is, "{header}");
        }
    }

    #[test]
    fn ip_source_chooses_the_header() {
        let headers = [
            ("x-forwarded-for", "198.51.100.1"),
            ("forwarded", "for=198.51.100.2"),
            ("x-real-ip", "198.51.100.3"),
            ("cf-connecting-ip", "198.51.100.4"),
            ("true-client-ip", "198.51.100.5"),
            ("fly-client-ip", "198.51.100.6"),
            ("cloudfront-viewer-address", "198.51.100.7:443"),
        ];
        for (name, client_is) in [
            ("connect_info", "127.0.0.1"),
            ("rightmost_x_forwarded_for", "198.51.100.1"),
            ("rightmost_forwarded", "198.51.100.2"),
            ("x_real_ip", "198.51.100.3"),
            ("cf_connecting_ip", "198.51.100.4"),
            ("true_client_ip", "198.51.100.5"),
            ("fly_client_ip", "198.51.100.6"),
            ("cloudfront_viewer_address", "198.51.100.7"),
        ] {
            let source: IpSource = serde_json::from_value(name.into()).unwrap();
            let proxies = Proxies {
                ip_source: Some(source),
                ..Proxies::default()
            };
            assert_eq!(
                client(&proxies, Some("127.0.0.1"), &headers),
                client_is,
                "{name}"
            );
            let stranger = client(&proxies, Some("203.0.113.9"), &headers);
            assert_eq!(stranger, "203.0.113.9", "{name}");
            assert_eq!(
                client(&proxies, Some("127.0.0.1"), &[]),
                "127.0.0.1",
                "{name}"
            );
        }
        let proxies = Proxies {
            ip_source: Some(IpSource::CloudFrontViewerAddress),
            ..Proxies::default()
        };
        let headers = [("cloudfront-viewer-address", "2001:db8::7:443")];
        assert_eq!(client(&proxies, None, &headers), "2001:db8::7");
    }
}
