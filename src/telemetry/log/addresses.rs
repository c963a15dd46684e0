use std::net::{IpAddr, SocketAddr};

use super::fields::Fields;
use crate::config::LogAddresses;

/// Fields with the address of a client, or of a proxy that nobody lists and that may be one.
const ADDRESSES: [&str; 2] = ["client", "peer"];

/// Shows as much of the addresses in a line as the settings say.
pub(super) fn apply(shown: LogAddresses, fields: &mut Fields<'_>) {
    if shown == LogAddresses::Full {
        return;
    }
    for field in ADDRESSES {
        // What is no address is `unknown`.
        fields.replace(field, |text| {
            let address = address(text)?;
            Some(if shown == LogAddresses::Truncated { network(address) } else { "hidden".to_owned() })
        });
    }
}

fn address(text: &str) -> Option<IpAddr> {
    let alone = text.parse().ok();
    alone.or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip())).map(|address| address.to_canonical())
}

/// The network, which is that of some hundred clients of a provider, or of a company.
fn network(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            format!("{}/48", std::net::Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use LogAddresses::{Full, None, Truncated};

    use super::*;

    #[test]
    fn an_address_is_cut_in_whatever_form_it_is() {
        let shown = |shown, text: &str| {
            let mut fields = Fields::default();
            fields.set("peer", text);
            fields.set("addr", text);
            apply(shown, &mut fields);
            assert_eq!(fields.text("addr").unwrap(), text, "where the node listens");
            fields.text("peer").unwrap().into_owned()
        };
        for (text, cut) in [
            ("192.0.2.7", "192.0.2.0/24"),
            ("192.0.2.7:4711", "192.0.2.0/24"),
            ("[::ffff:192.0.2.7]:4711", "192.0.2.0/24"),
            ("2001:db8:1:2::3", "2001:db8:1::/48"),
            ("[2001:db8:1:2::3]:80", "2001:db8:1::/48"),
        ] {
            assert_eq!((shown(Full, text), shown(Truncated, text)), (text.to_owned(), cut.to_owned()));
            assert_eq!(shown(None, text), "hidden");
        }
        assert_eq!(shown(None, "unknown"), "unknown");
    }
}
