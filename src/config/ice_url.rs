//! Addresses of STUN and TURN servers (RFC 7064 and 7065), as strict as the strictest browser: an address that a browser does not accept
//! makes `new RTCPeerConnection` throw, and then no server is used.

use std::net::Ipv6Addr;

/// The options of a TURN address.
const TRANSPORTS: [&str; 2] = ["udp", "tcp"];

/// An address in its usual form. Errors do not repeat the address, because it may contain a secret.
pub(super) fn ice_url(text: &str) -> Result<String, String> {
    let text = text.trim();
    let (scheme, rest) = text.split_once(':').ok_or("expected stun:, stuns:, turn: or turns: before the host")?;
    let scheme = scheme.to_ascii_lowercase();
    let relays = match scheme.as_str() {
        "stun" | "stuns" => false,
        "turn" | "turns" => true,
        _ => return Err("expected one of the schemes stun, stuns, turn and turns".to_owned()),
    };
    if rest.starts_with('/') {
        return Err(format!("expected {scheme}:HOST, without //"));
    }
    if rest.contains('@') {
        return Err("expected no user in the address: username and credential have fields of their own".to_owned());
    }
    let (place, query) = match rest.split_once('?') {
        Some((place, query)) => (place, Some(query)),
        None => (rest, None),
    };
    match query {
        Some(_) if !relays => return Err(format!("expected no ? after the address: {scheme}: takes none")),
        Some(query) if !query.strip_prefix("transport=").is_some_and(|transport| TRANSPORTS.contains(&transport)) => {
            return Err("expected nothing after the ? but transport=udp or transport=tcp".to_owned());
        }
        _ => {}
    }
    check_place(place)?;
    Ok(format!("{scheme}:{rest}"))
}

fn check_place(place: &str) -> Result<(), String> {
    let port = if let Some(rest) = place.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or("expected a ] after an IPv6 address")?;
        if address.parse::<Ipv6Addr>().is_err() {
            return Err("expected an IPv6 address in the brackets".to_owned());
        }
        match rest.strip_prefix(':') {
            None if rest.is_empty() => None,
            None => return Err("expected nothing but :PORT after the ]".to_owned()),
            port => port,
        }
    } else {
        let (host, port) = match place.split_once(':') {
            Some((_, rest)) if rest.contains(':') => {
                return Err("expected an IPv6 address in brackets, as [2001:db8::1]".to_owned());
            }
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if host.is_empty() || !host.bytes().all(plain) {
            return Err("expected the name or the address of a host, in ASCII".to_owned());
        }
        port
    };
    let is_port =
        |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    match port {
        Some(port) if !is_port(port) => Err("expected a port between 1 and 65535".to_owned()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (given, taken) in [
            ("stun:stun.example.org", "stun:stun.example.org"),
            (" STUN:stun.example.org:3478 ", "stun:stun.example.org:3478"),
            ("stuns:[2001:db8::1]:5349", "stuns:[2001:db8::1]:5349"),
            ("turn:192.0.2.1:3478?transport=udp", "turn:192.0.2.1:3478?transport=udp"),
            ("turns:a.org:443?transport=tcp", "turns:a.org:443?transport=tcp"),
            ("turn:a_b-c.org", "turn:a_b-c.org"),
        ] {
            assert_eq!(ice_url(given).unwrap(), taken);
        }
        for (wrong, why) in [
            ("stun.example.org", "stun:, stuns:"),
            ("stun.example.org:3478", "schemes"),
            ("http://a.org", "schemes"),
            ("stun:", "host"),
            ("stun://a.org", "without //"),
            ("turn:hush:hush@a.org", "no user"),
            ("stun:a.org?transport=udp", "takes none"),
            ("stuns:a.org?", "takes none"),
            ("turn:a.org?", "transport=udp"),
            ("turn:a.org?transport=", "transport=udp"),
            ("turn:a.org?transport=tls", "transport=udp"),
            ("turn:a.org?transport=udp&x=1", "transport=udp"),
            ("turn:a.org?x=1", "transport=udp"),
            ("turn:a.org:0", "port"),
            ("turn:a.org:65536", "port"),
            ("turn:a.org:", "port"),
            ("turn:a.org:+1", "port"),
            ("turn:a.org:x", "port"),
            ("turn:2001:db8::1", "brackets"),
            ("turn:[2001:db8::1", "]"),
            ("turn:[a.org]", "IPv6"),
            ("turn:[::1]3478", ":PORT"),
            ("turn:a.org/x", "host"),
            ("turn:a org", "host"),
            ("turn:bücher.example", "host"),
            ("turn:a.org#x", "host"),
        ] {
            let said = ice_url(wrong).unwrap_err();
            assert!(said.contains(why) && !said.contains("hush"), "{wrong}: {said}");
        }
    }
}
