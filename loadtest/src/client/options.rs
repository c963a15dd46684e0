use std::net::Ipv4Addr;

use clap::Args;
use serde::{Deserialize, Serialize};

/// Sockets from one source address. There are some 28,000 ephemeral ports; beyond half of them, the kernel's search for a free one takes
/// more time than the rest of a connection.
const SOCKETS_PER_SOURCE: u32 = 8_000;

#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub(crate) struct ClientOptions {
    /// Features that clients of tandem ask for in JOIN, for example "resume,ack"
    #[arg(long, value_name = "LIST", default_value = "", help_heading = "Clients")]
    pub(crate) features: String,
    /// Loopback addresses 127.0.0.2.. to connect from [default: as many as the ports need]
    #[arg(long, value_name = "N", help_heading = "Clients", value_parser = clap::value_parser!(u8).range(1..=250))]
    sources: Option<u8>,
}

impl ClientOptions {
    /// The features to ask for.
    pub(crate) fn features(&self) -> Vec<String> {
        let names = self.features.split(',').map(str::trim).filter(|name| !name.is_empty());
        names.map(str::to_owned).collect()
    }

    /// The loopback address that the clients of a room connect from when there are `sockets` in all; `None` leaves it to the system.
    pub(crate) fn source(&self, room: u32, sockets: u32) -> Option<Ipv4Addr> {
        let needed = u8::try_from(sockets.div_ceil(SOCKETS_PER_SOURCE)).unwrap_or(u8::MAX);
        let sources = self.sources.unwrap_or(needed);
        let turn = u8::try_from(room % u32::from(sources.max(1))).ok()?;
        // Not from the address of the servers: a client must not take the port of one that is being restarted.
        (sources > 1).then(|| Ipv4Addr::new(127, 0, 0, turn.saturating_add(2)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_sockets_than_ports_use_more_addresses() {
        let source = |sources, room, sockets| ClientOptions { features: String::new(), sources }.source(room, sockets);
        assert_eq!(source(None, 7, 8_000), None);
        assert_eq!(source(None, 0, 20_000), Some(Ipv4Addr::new(127, 0, 0, 2)));
        assert_eq!(source(None, 5, 20_000), Some(Ipv4Addr::new(127, 0, 0, 4)));
        assert_eq!(source(Some(2), 1, 8), Some(Ipv4Addr::new(127, 0, 0, 3)));
    }
}
