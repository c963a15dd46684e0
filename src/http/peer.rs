use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName};

use crate::headers::list;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The other end of a TCP connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

impl Peer {
    /// The client's address: the connection's own, or with `hops` proxies in front the one that the outermost proxy has seen. What a client
    /// itself writes into X-Forwarded-For is further left, and is ignored.
    ///
    /// `None` if the proxies supply something other than an address, or fewer entries than there are hops. It is never the proxy's own
    /// address, or all clients would look like one.
    pub fn client(self, headers: &HeaderMap, hops: usize) -> Option<IpAddr> {
        // Without the header there was no proxy on the way: it is a probe, or a client inside the network.
        if hops == 0 || !headers.contains_key(X_FORWARDED_FOR) {
            return Some(self.0.ip().to_canonical());
        }
        let seen: Vec<&[u8]> = list(headers, X_FORWARDED_FOR).collect();
        let index = seen.len().checked_sub(hops)?;
        address(std::str::from_utf8(seen.get(index)?).ok()?)
    }
}

/// Parses an address in any of the forms that proxies write: with a port, in brackets, in quotes, with a zone.
fn address(text: &str) -> Option<IpAddr> {
    let unquoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text).trim();
    let host = match (unquoted.strip_prefix('['), unquoted.split_once(':')) {
        (Some(rest), _) => {
            let (host, port) = rest.split_once(']')?;
            (port.is_empty() || port.starts_with(':')).then_some(host)?
        }
        // With a single colon, the rest is a port.
        (None, Some((host, port))) if !port.contains(':') => host,
        _ => unquoted,
    };
    let without_zone = host.split_once('%').map_or(host, |(host, _)| host);
    let address = without_zone.parse::<IpAddr>().ok()?.to_canonical();
    (!address.is_unspecified()).then_some(address)
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

    #[test]
    fn only_trusted_hops_are_believed() {
        let peer = Peer("10.0.0.1:5".parse().unwrap());
        let seen = headers(&[b"6.6.6.6, 1.2.3.4:5678", b"10.0.0.2"]);
        let client = |headers: &HeaderMap, hops| peer.client(headers, hops).map(|address| address.to_string());
        assert_eq!(client(&seen, 0).as_deref(), Some("10.0.0.1"));
        assert_eq!(client(&seen, 1).as_deref(), Some("10.0.0.2"));
        assert_eq!(client(&seen, 2).as_deref(), Some("1.2.3.4"));
        assert_eq!(client(&seen, 9), None, "fewer proxies than there should be");
        assert_eq!(client(&headers(&[]), 1).as_deref(), Some("10.0.0.1"), "no proxy at all");
        assert_eq!(Peer("[::ffff:1.2.3.4]:5".parse().unwrap()).client(&seen, 0), "1.2.3.4".parse().ok());
    }

    #[test]
    fn an_address_is_read_in_every_form_and_what_is_none_is_nobody() {
        let peer = Peer("10.0.0.1:5".parse().unwrap());
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
                let found = peer.client(&headers(&lines), hops);
                assert_eq!(found, address.parse().ok(), "{text} of {hops}");
            }
        }
        // A line that is not text still counts, and a client's quote hides nothing.
        assert_eq!(peer.client(&headers(&[b"1.2.3.4", b"\xff\xfe"]), 1), None);
        assert_eq!(peer.client(&headers(&[b"1.2.3.4", b"\xff\xfe"]), 2), "1.2.3.4".parse().ok());
        assert_eq!(peer.client(&headers(&[b"\"6.6.6.6", b"1.2.3.4"]), 1), "1.2.3.4".parse().ok());
        assert_eq!(peer.client(&headers(&[b" , ,"]), 1), None);
    }
}
