use std::{
    net::{IpAddr, Ipv4Addr},
    sync::atomic::{AtomicBool, Ordering},
};

use axum::http::{HeaderMap, HeaderName};

use super::{Peer, peer::address};
use crate::{
    config::{Network, ServerConfig},
    headers::list,
};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Whose word about clients is believed: the proxies in front of this node, by their number, by their addresses, or by both.
#[derive(Debug, Default)]
pub(super) struct Proxies {
    hops: usize,
    trusted: Vec<Network>,
    /// Whether the log says already that a header was ignored.
    told: AtomicBool,
}

impl Proxies {
    pub(super) fn new(config: &ServerConfig) -> Self {
        Self { hops: config.trust_proxy_hops, trusted: config.trusted_proxies.clone(), told: AtomicBool::new(false) }
    }

    /// Whether the headers of this peer say who its client is. Where there is a list, nobody else is believed, whatever the number.
    fn believes(&self, peer: Peer) -> bool {
        if self.trusted.is_empty() { self.hops > 0 } else { peer.0.is_some_and(|address| self.lists(address)) }
    }

    fn lists(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }

    /// The client's address: the connection's own, or the one that the outermost trusted proxy has seen. What a client itself writes into
    /// X-Forwarded-For is further left, and is ignored.
    ///
    /// `None` if the proxies supply something other than an address, or fewer entries than there are hops. It is never the proxy's own
    /// address, or all clients would look like one.
    pub(super) fn client(&self, peer: Peer, headers: &HeaderMap) -> Option<IpAddr> {
        // Without the header there was no proxy on the way: it is a probe, or a client inside the network.
        if !headers.contains_key(X_FORWARDED_FOR) {
            return peer.0;
        }
        if !self.believes(peer) {
            self.tell(peer);
            return peer.0;
        }
        let seen: Vec<&[u8]> = list(headers, X_FORWARDED_FOR).collect();
        let read = |entry: &&[u8]| address(std::str::from_utf8(entry).ok()?);
        if self.hops > 0 {
            return seen.get(seen.len().checked_sub(self.hops)?).and_then(read);
        }
        let mut client = None;
        for entry in seen.iter().rev() {
            client = Some(read(entry)?);
            if client.is_some_and(|address| !self.lists(address)) {
                break;
            }
        }
        // If all are proxies, it is the outermost of them that asks.
        client
    }

    /// Whether this peer connects for many clients: a proxy that is believed, or one that the settings do not name. Whoever writes the header
    /// from a public address is not taken for a proxy, or every client could leave its account that way.
    pub(super) fn is_of_many(&self, peer: Peer, headers: &HeaderMap) -> bool {
        self.believes(peer) || (headers.contains_key(X_FORWARDED_FOR) && peer.0.is_some_and(is_private))
    }

    /// Whether the other ends of connections from this peer are known from headers alone.
    pub(super) fn is_proxy(&self, peer: Peer) -> bool {
        self.believes(peer)
    }

    /// Whether the client came by https: as a proxy that is believed says, or else as this connection is.
    pub(super) fn secure(&self, peer: Peer, headers: &HeaderMap, encrypted: bool) -> bool {
        // Each proxy may append how it was reached; the first value is what the client used.
        let told = list(headers, X_FORWARDED_PROTO).next().filter(|_| self.believes(peer));
        told.map_or(encrypted, |scheme| scheme.eq_ignore_ascii_case(b"https"))
    }

    /// Says once that a header was ignored: either somebody forges it, or all clients look like one.
    fn tell(&self, peer: Peer) {
        if self.told.swap(true, Ordering::Relaxed) {
            return;
        }
        let peer = peer.0.map_or_else(|| "unknown".to_owned(), |peer| peer.to_string());
        if self.trusted.is_empty() {
            tracing::warn!(
                peer,
                "X-Forwarded-For is ignored, because TRUST_PROXY_HOPS is 0 and TRUSTED_PROXIES is empty. If there is a proxy in front of this \
                 node, all its clients look like one; if there is none, a client has forged the header"
            );
        } else {
            tracing::warn!(
                peer,
                "X-Forwarded-For is ignored, because this peer is not in TRUSTED_PROXIES: a proxy is missing there, or a client has forged the header"
            );
        }
    }
}

/// Whether the address is of a network of its own: this machine, an office, a cluster.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(it) => it.is_private() || it.is_loopback() || it.is_link_local() || is_carrier_grade(it),
        IpAddr::V6(it) => it.is_loopback() || it.is_unique_local() || it.is_unicast_link_local(),
    }
}

/// 100.64.0.0/10, which clouds use inside, too (RFC 6598).
fn is_carrier_grade(address: Ipv4Addr) -> bool {
    address.to_bits() >> 22 == Ipv4Addr::new(100, 64, 0, 0).to_bits() >> 22
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, axum::http::HeaderValue::from_bytes(line).unwrap());
        }
        headers
    }

    fn peer(address: &str) -> Peer {
        Peer(Some(address.parse().unwrap()))
    }

    fn proxies(hops: usize, trusted: &str) -> Proxies {
        let trusted = trusted.split(',').filter(|range| !range.is_empty());
        Proxies { hops, trusted: trusted.map(|range| Network::parse(range).unwrap()).collect(), ..Proxies::default() }
    }

    #[test]
    fn nobody_leaves_its_account_with_a_header_from_a_public_address() {
        let forwarded = headers(&[b"1.2.3.4"]);
        for (address, many) in [("10.0.0.1", true), ("100.64.0.9", true), ("fd00::1", true), ("203.0.113.9", false)] {
            assert_eq!(proxies(0, "").is_of_many(peer(address), &forwarded), many, "{address}");
            assert!(!proxies(0, "").is_of_many(peer(address), &headers(&[])), "{address}");
        }
    }

    #[test]
    fn only_trusted_hops_are_believed() {
        let seen = headers(&[b"6.6.6.6, 1.2.3.4:5678", b"10.0.0.2"]);
        let client = |headers: &HeaderMap, hops| {
            proxies(hops, "").client(peer("10.0.0.1"), headers).map(|address| address.to_string())
        };
        assert_eq!(client(&seen, 0).as_deref(), Some("10.0.0.1"));
        assert_eq!(client(&seen, 1).as_deref(), Some("10.0.0.2"));
        assert_eq!(client(&seen, 2).as_deref(), Some("1.2.3.4"));
        assert_eq!(client(&seen, 9), None, "fewer proxies than there should be");
        assert_eq!(client(&headers(&[]), 1).as_deref(), Some("10.0.0.1"), "no proxy at all");
        assert_eq!(proxies(1, "").client(Peer(None), &headers(&[])), None, "nobody has told");
    }

    #[test]
    fn only_listed_addresses_are_believed() {
        for (trusted, hops, from, lines, client) in [
            // From the right, the first that is no proxy.
            ("10.0.0.0/8", 0, "10.0.0.1", &["6.6.6.6, 1.2.3.4, 10.0.0.2"][..], Some("1.2.3.4")),
            ("10.0.0.0/8,2001:db8::/32", 0, "2001:db8::1", &["1.2.3.4", "10.9.9.9"], Some("1.2.3.4")),
            ("10.0.0.0/8", 0, "10.0.0.1", &["1.2.3.4"], Some("1.2.3.4")),
            // A forged header of a client, or of one beside the proxies.
            ("10.0.0.0/8", 0, "1.2.3.4", &["6.6.6.6"], Some("1.2.3.4")),
            ("10.0.0.0/8", 1, "1.2.3.4", &["6.6.6.6"], Some("1.2.3.4")),
            // A proxy asks itself.
            ("10.0.0.0/8", 0, "10.0.0.1", &["10.0.0.3, 10.0.0.2"], Some("10.0.0.3")),
            // Nobody knows who asks; whatever is further left is a client's word.
            ("10.0.0.0/8", 0, "10.0.0.1", &["1.2.3.4, unknown"], None),
            ("10.0.0.0/8", 0, "10.0.0.1", &["1.2.3.4, unknown, 10.0.0.2"], None),
            ("10.0.0.0/8", 0, "10.0.0.1", &["unknown, 1.2.3.4"], Some("1.2.3.4")),
            ("10.0.0.0/8", 0, "10.0.0.1", &[" ,"], None),
            // The number counts where both are given.
            ("10.0.0.0/8", 2, "10.0.0.1", &["6.6.6.6, 1.2.3.4, 5.5.5.5"], Some("1.2.3.4")),
        ] {
            let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
            let found = proxies(hops, trusted).client(peer(from), &headers(&lines));
            assert_eq!(found, client.map(|it| it.parse().unwrap()), "{trusted} {hops} {from} {lines:?}");
        }
    }

    #[test]
    fn the_scheme_is_believed_like_the_address() {
        let headers: HeaderMap = [(X_FORWARDED_PROTO, "https".parse().unwrap())].into_iter().collect();
        for (hops, trusted, from, believed) in [
            (0, "", "10.0.0.1", false),
            (1, "", "10.0.0.1", true),
            (0, "10.0.0.0/8", "10.0.0.1", true),
            (0, "10.0.0.0/8", "1.2.3.4", false),
            (1, "10.0.0.0/8", "1.2.3.4", false),
        ] {
            let proxies = proxies(hops, trusted);
            assert_eq!(proxies.secure(peer(from), &headers, false), believed, "{hops} {trusted} {from}");
            assert!(proxies.secure(peer(from), &HeaderMap::new(), true), "nobody says otherwise");
        }
    }

    #[test]
    fn an_address_is_read_in_every_form_and_what_is_none_is_nobody() {
        for (text, address) in [
            ("1.2.3.4", "1.2.3.4"),
            ("1.2.3.4:5678", "1.2.3.4"),
            ("\"1.2.3.4\"", "1.2.3.4"),
            ("\"1.2.3.4:5678\"", "1.2.3.4"),
            ("1.2.3.4:_port", "1.2.3.4"),
            ("2001:db8::1", "2001:db8::1"),
            ("2001:DB8:0:0::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("\"[2001:db8::1]:443\"", "2001:db8::1"),
            ("fe80::1%eth0", "fe80::1"),
            ("fe80::1%25eth0", "fe80::1"),
            ("[fe80::1%eth0]:443", "fe80::1"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
            ("[::ffff:1.2.3.4]:80", "1.2.3.4"),
            ("::1", "::1"),
            ("unknown", ""),
            ("_hidden", ""),
            ("_SEVKISEK:80", ""),
            ("example.org", ""),
            ("1.2.3", ""),
            ("1.2.3.4.5", ""),
            ("256.1.1.1", ""),
            ("[2001:db8::1", ""),
            ("[2001:db8::1]443", ""),
            ("2001:db8::1::2", ""),
            ("0.0.0.0", ""),
            ("::", ""),
            ("\"", ""),
            ("[]", ""),
            ("%eth0", ""),
            (":80", ""),
            ("-", ""),
        ] {
            for (lines, hops) in [
                (vec![text.as_bytes()], 1),
                (vec![&b"6.6.6.6"[..], text.as_bytes()], 1),
                (vec![text.as_bytes(), b"10.0.0.9"], 2),
            ] {
                let found = proxies(hops, "").client(peer("10.0.0.1"), &headers(&lines));
                assert_eq!(found, address.parse().ok(), "{text} of {hops}");
            }
        }
        // A line that is not text still counts, and a client's quote hides nothing.
        let client = |lines: &[&[u8]], hops| proxies(hops, "").client(peer("10.0.0.1"), &headers(lines));
        assert_eq!(client(&[b"1.2.3.4", b"\xff\xfe"], 1), None);
        assert_eq!(client(&[b"1.2.3.4", b"\xff\xfe"], 2), "1.2.3.4".parse().ok());
        assert_eq!(client(&[b"\"6.6.6.6", b"1.2.3.4"], 1), "1.2.3.4".parse().ok());
        assert_eq!(client(&[b" , ,"], 1), None);
    }
}
