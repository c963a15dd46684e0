use std::net::Ipv4Addr;

use clap::Args;
use serde::{Deserialize, Serialize};

/// Source addresses. With more sockets than ports from one address, the kernel's search for a free port takes more time than the rest of a
/// connection; and a server may hold each address to its share.
const SOURCES: u8 = 250;
/// Members behind one address: a home.
const HOME: u32 = 4;

#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub(crate) struct ClientOptions {
    /// Features that clients of tandem ask for in JOIN, for example "resume,ack"
    #[arg(long, value_name = "LIST", default_value = "", help_heading = "Clients")]
    pub(crate) features: String,
    /// Loopback addresses 127.0.0.2.. to connect from; four members that join one after the other share one
    #[arg(long, value_name = "N", default_value_t = SOURCES, help_heading = "Clients", value_parser = clap::value_parser!(u8).range(1..=250))]
    sources: u8,
}

impl ClientOptions {
    /// The features to ask for.
    pub(crate) fn features(&self) -> Vec<String> {
        let names = self.features.split(',').map(str::trim).filter(|name| !name.is_empty());
        names.map(str::to_owned).collect()
    }

    /// The loopback address that a member connects from, by its number among all.
    pub(crate) fn source(&self, member: u32) -> Ipv4Addr {
        let turn = u8::try_from(member / HOME % u32::from(self.sources.max(1))).unwrap_or(0);
        // Not from the address of the servers: a client must not take the port of one that is being restarted.
        Ipv4Addr::new(127, 0, 0, turn.saturating_add(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_share_an_address_and_then_it_goes_round() {
        let source = |sources, member| ClientOptions { features: String::new(), sources }.source(member).octets()[3];
        assert_eq!([0, 3, 4, 7, 8].map(|member| source(250, member)), [2, 2, 3, 3, 4]);
        assert_eq!((source(250, 999), source(250, 1_000)), (251, 2));
        assert_eq!((source(1, 0), source(1, 77)), (2, 2));
    }
}
