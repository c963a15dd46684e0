use std::net::IpAddr;

/// The address of the other end of a connection: its own, or the one that a proxy tells in a PROXY header. `None` if that proxy does not know
/// it.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub Option<IpAddr>);

/// The request came over TLS that ended at this node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Encrypted;

/// Parses an address in any of the forms that proxies write: with a port, in brackets, in quotes, with a zone.
pub(super) fn address(text: &str) -> Option<IpAddr> {
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
