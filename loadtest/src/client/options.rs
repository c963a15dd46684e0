use std::net::Ipv4Addr;

use clap::Args;
use serde::{Deserialize, Serialize};

/// Sockets from one source address: somewhat fewer than there are ephemeral ports.
const SOCKETS_PER_SOURCE: u32 = 25_000;

#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub(crate) struct ClientOptions {
    /// Features that clients of tandem ask for in JOIN, for example "resume,ack"
    #[arg(long, value_name = "LIST", default_value = "", help_heading = "Clients")]
    pub(crate) features: String,
    /// Join as first-generation clients do, without a list of features
    #[arg(long, conflicts_with = "features", help_heading = "Clients")]
    legacy: bool,
    /// Loopback addresses 127.0.0.1.. to connect from [default: as many as the ports need]
    #[arg(long, value_name = "N", help_heading = "Clients", value_parser = clap::value_parser!(u8).range(1..=250))]
    sources: Option<u8>,
}

impl ClientOptions {
    /// The features to ask for; `None` for first-generation clients.
    pub(crate) fn features(&self) -> Option<Vec<String>> {
        let names = self.features.split(',').map(str::trim).filter(|name| !name.is_empty());
        (!self.legacy).then(|| names.map(str::to_owned).collect())
    }

    /// The address that the clients of a room connect from when there are `sockets` in all.
    pub(crate) fn source(&self, room: u32, sockets: u32) -> Option<Ipv4Addr> {
        source(self.sources, room, sockets)
    }
}

/// The loopback address for the clients of a room; `None` leaves it to the system.
pub(crate) fn source(sources: Option<u8>, room: u32, sockets: u32) -> Option<Ipv4Addr> {
    let needed = u8::try_from(sockets.div_ceil(SOCKETS_PER_SOURCE)).unwrap_or(u8::MAX);
    let sources = sources.unwrap_or(needed);
    let turn = u8::try_from(room % u32::from(sources.max(1))).ok()?;
    (sources > 1).then(|| Ipv4Addr::new(127, 0, 0, turn.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_of_features_is_not_legacy() {
        let options = |features: &str, legacy| ClientOptions { features: features.to_owned(), legacy, sources: None };
        assert_eq!(options("", false).features(), Some(Vec::new()));
        assert_eq!(options("", true).features(), None);
        assert_eq!(options("resume, ack", false).features(), Some(vec!["resume".to_owned(), "ack".to_owned()]));
    }

    #[test]
    fn more_sockets_than_ports_use_more_addresses() {
        assert_eq!(source(None, 7, 25_000), None);
        assert_eq!(source(None, 0, 60_000), Some(Ipv4Addr::LOCALHOST));
        assert_eq!(source(None, 5, 60_000), Some(Ipv4Addr::new(127, 0, 0, 3)));
        assert_eq!(source(Some(2), 1, 8), Some(Ipv4Addr::new(127, 0, 0, 2)));
    }
}
