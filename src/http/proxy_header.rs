//! The PROXY protocol, versions 1 and 2, as HAProxy's doc/proxy-protocol.txt defines it. The crate `ppp` would bring a second `thiserror`,
//! and `proxy-header` does not tell a proxy's own connection from one of an unknown client.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The beginning of a header of version 1, which is a line of text.
const TEXT: &[u8] = b"PROXY ";
/// The length of the longest line, with its end.
const LONGEST_LINE: usize = 107;
/// The beginning of a header of version 2.
const BINARY: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The bytes after that: version and command, family and transport, length of the rest.
const BINARY_HEAD: usize = BINARY.len() + 4;
/// The longest rest: addresses, and what proxies add about certificates.
const LONGEST_REST: usize = 4_096;

/// Who a connection comes from, as its header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The proxy itself, such as a check whether this node is alive.
    Proxy,
    /// A client with this address.
    Client(IpAddr),
    /// A client whose address the proxy does not know, or that has none.
    Unknown,
}

/// What the first bytes of a connection are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// A header, of so many bytes.
    Header(Source, usize),
    /// The beginning of a header, or nothing yet.
    Part,
    /// Something else.
    Other,
}

/// It begins like a header and is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

impl Opening {
    /// Reads the first bytes of a connection.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.starts_with(TEXT) {
            return text(bytes);
        }
        if bytes.starts_with(BINARY) {
            return binary(bytes);
        }
        let is_part = TEXT.starts_with(bytes) || BINARY.starts_with(bytes);
        Ok(if is_part { Self::Part } else { Self::Other })
    }
}

fn text(bytes: &[u8]) -> Result<Opening, Malformed> {
    let line = bytes.iter().take(LONGEST_LINE);
    let Some(end) = line.clone().position(|byte| *byte == b'\n') else {
        return if line.len() < LONGEST_LINE { Ok(Opening::Part) } else { Err(Malformed) };
    };
    let line = bytes.get(TEXT.len()..end).and_then(|line| line.strip_suffix(b"\r")).ok_or(Malformed)?;
    let line = std::str::from_utf8(line).map_err(|_| Malformed)?;
    let length = end + 1;
    let fields: Vec<&str> = line.split(' ').collect();
    let source = match fields[..] {
        // What follows is to be ignored.
        ["UNKNOWN", ..] => Source::Unknown,
        [family, source, target, source_port, target_port] => {
            port(source_port)?;
            port(target_port)?;
            let addresses = match family {
                "TCP4" => [source, target].map(|it| it.parse().map(IpAddr::V4)),
                "TCP6" => [source, target].map(|it| it.parse().map(IpAddr::V6)),
                _ => return Err(Malformed),
            };
            let [Ok(source), Ok(_)] = addresses else { return Err(Malformed) };
            client(source)
        }
        _ => return Err(Malformed),
    };
    Ok(Opening::Header(source, length))
}

/// A port in decimal digits, without more of them than it needs.
fn port(text: &str) -> Result<u16, Malformed> {
    let port: u16 = text.parse().map_err(|_| Malformed)?;
    if port.to_string() == text { Ok(port) } else { Err(Malformed) }
}

fn binary(bytes: &[u8]) -> Result<Opening, Malformed> {
    let Some([command, family, high, low]) = bytes.get(BINARY.len()..BINARY_HEAD) else {
        // A wrong version is told at once.
        let command = bytes.get(BINARY.len()).is_none_or(|command| matches!(command, 0x20 | 0x21));
        return if command { Ok(Opening::Part) } else { Err(Malformed) };
    };
    let rest = usize::from(u16::from_be_bytes([*high, *low]));
    if rest > LONGEST_REST || !matches!(command, 0x20 | 0x21) {
        return Err(Malformed);
    }
    let length = BINARY_HEAD + rest;
    let Some(rest) = bytes.get(BINARY_HEAD..length) else { return Ok(Opening::Part) };
    if *command == 0x20 {
        return Ok(Opening::Header(Source::Proxy, length));
    }
    let source = match *family {
        // TCP or UDP over IPv4: two addresses and two ports. What follows is for others.
        0x11 | 0x12 => {
            let address: [u8; 4] = *rest.get(..12).and_then(<[u8]>::first_chunk).ok_or(Malformed)?;
            client(Ipv4Addr::from(address).into())
        }
        0x21 | 0x22 => {
            let address: [u8; 16] = *rest.get(..36).and_then(<[u8]>::first_chunk).ok_or(Malformed)?;
            client(Ipv6Addr::from(address).into())
        }
        // A path in the file system.
        0x31 | 0x32 if rest.len() >= 216 => Source::Unknown,
        0x00 => Source::Unknown,
        _ => return Err(Malformed),
    };
    Ok(Opening::Header(source, length))
}

fn client(address: IpAddr) -> Source {
    let address = address.to_canonical();
    if address.is_unspecified() { Source::Unknown } else { Source::Client(address) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [BINARY, &[command, family], &length, rest].concat()
    }

    fn of(address: &str) -> Source {
        Source::Client(address.parse().unwrap())
    }

    fn headers() -> Vec<(Vec<u8>, Source)> {
        let v4 = [192, 0, 2, 1, 10, 0, 0, 1, 0, 80, 1, 187];
        let v6 = [&"2001:db8::1".parse::<Ipv6Addr>().unwrap().octets()[..], &[0; 16], &[0, 80, 1, 187]].concat();
        let mapped = [&"::ffff:192.0.2.1".parse::<Ipv6Addr>().unwrap().octets()[..], &[0; 20]].concat();
        let text = |line: &str| line.as_bytes().to_vec();
        vec![
            (text("PROXY TCP4 192.0.2.1 10.0.0.1 80 443\r\n"), of("192.0.2.1")),
            (text("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), of("255.255.255.255")),
            (text("PROXY TCP6 2001:db8::1 ::1 80 443\r\n"), of("2001:db8::1")),
            (text("PROXY TCP6 ::ffff:192.0.2.1 ::1 80 443\r\n"), of("192.0.2.1")),
            (text("PROXY TCP4 0.0.0.0 10.0.0.1 80 443\r\n"), Source::Unknown),
            (text("PROXY UNKNOWN\r\n"), Source::Unknown),
            (text("PROXY UNKNOWN ffff:f:f:f:f:f:f:f ffff:f:f:f:f:f:f:f 65535 65535\r\n"), Source::Unknown),
            (v2(0x21, 0x11, &v4), of("192.0.2.1")),
            (v2(0x21, 0x12, &v4), of("192.0.2.1")),
            (v2(0x21, 0x11, &[&v4[..], &[7; 300]].concat()), of("192.0.2.1")),
            (v2(0x21, 0x21, &v6), of("2001:db8::1")),
            (v2(0x21, 0x21, &mapped), of("192.0.2.1")),
            (v2(0x21, 0x31, &[0; 216]), Source::Unknown),
            (v2(0x21, 0x00, &[]), Source::Unknown),
            // A proxy's own connection, whatever it says beside that.
            (v2(0x20, 0x00, &[]), Source::Proxy),
            (v2(0x20, 0x11, &v4), Source::Proxy),
            (v2(0x20, 0x99, &[1, 2]), Source::Proxy),
        ]
    }

    #[test]
    fn a_header_says_who_it_is_and_ends_where_it_ends() {
        for (header, source) in headers() {
            let more = [&header[..], b"GET / HTTP/1.1\r\n"].concat();
            assert_eq!(Opening::read(&more), Ok(Opening::Header(source, header.len())), "{header:?}");
            for cut in 0..header.len() {
                assert_eq!(Opening::read(&header[..cut]), Ok(Opening::Part), "{cut} bytes of {header:?}");
            }
        }
    }

    #[test]
    fn what_is_no_header_is_left_alone() {
        for other in [
            &b"G"[..],
            b"GET /",
            b"POST",
            b"PUT",
            b"PROXYING",
            b"PRI * HTTP/2.0",
            b"\r\nGET",
            b"\r\n\r\n\r\n",
            b"\0",
            b"\x16\x03\x01",
        ] {
            assert_eq!(Opening::read(other), Ok(Opening::Other), "{other:?}");
        }
    }

    #[test]
    fn what_begins_like_a_header_and_is_none_is_refused() {
        for line in [
            "PROXY \r\n",
            "PROXY TCP4\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 80\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 80 443 1\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 80 443\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 80 65536\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 080 443\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 +80 443\r\n",
            "PROXY TCP4  192.0.2.1 10.0.0.1 80 443\r\n",
            "PROXY TCP4 2001:db8::1 ::1 80 443\r\n",
            "PROXY TCP6 192.0.2.1 10.0.0.1 80 443\r\n",
            "PROXY TCP4 192.0.2.1 example.org 80 443\r\n",
            "PROXY UDP4 192.0.2.1 10.0.0.1 80 443\r\n",
            "PROXY UNKNOWNS\r\n",
        ] {
            assert_eq!(Opening::read(line.as_bytes()), Err(Malformed), "{line}");
        }
        let endless = [&b"PROXY UNKNOWN"[..], &[b'x'; 94]].concat();
        assert_eq!(Opening::read(&endless), Err(Malformed));
        for (command, family, rest) in [
            (0x11, 0x11, &[0; 12][..]),
            (0x22, 0x11, &[0; 12]),
            (0x21, 0x11, &[0; 11]),
            (0x21, 0x21, &[0; 35]),
            (0x21, 0x31, &[0; 215]),
            (0x21, 0x13, &[0; 12]),
            (0x21, 0x41, &[0; 12]),
            (0x21, 0x11, &[0; LONGEST_REST + 1]),
        ] {
            assert_eq!(
                Opening::read(&v2(command, family, rest)),
                Err(Malformed),
                "{command:x} {family:x} {}",
                rest.len()
            );
        }
        // It is not waited for what can no longer be one.
        assert_eq!(Opening::read(&v2(0x11, 0, &[])[..13]), Err(Malformed));
        assert_eq!(Opening::read(&v2(0x21, 0x11, &[0; LONGEST_REST + 1])[..BINARY_HEAD]), Err(Malformed));
    }
}
