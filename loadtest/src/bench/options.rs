use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use crate::{cluster::Ledger, fleet::Manners, scenario::control};

/// Idle sockets when nothing is said.
const SOCKETS: u32 = 8_000;

/// Options of `loadtest bench`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Also start a cluster: redis-server, and nodes that members of a room share
    #[arg(long)]
    pub(super) cluster: bool,
    /// Nodes of the cluster
    #[arg(long, value_name = "N", default_value_t = 2, requires = "cluster", value_parser = clap::value_parser!(u32).range(2..=16))]
    pub(super) nodes: u32,
    /// Where the cluster's ledger goes
    #[arg(long, value_enum, default_value_t = Ledger::Streams, requires = "cluster")]
    pub(super) ledger: Ledger,
    /// Pairs of messages a second in each room of the cluster that two members send at once, on two nodes; 0 leaves that part out
    #[arg(long, value_name = "N", default_value_t = 4, requires = "cluster", value_parser = clap::value_parser!(u32).range(0..=45))]
    pub(super) clash: u32,
    /// Idle sockets for the memory figure of a single node, in rooms of 4; 0 leaves that part out [default: 8000, or 0 with --cluster]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=200_000))]
    sockets: Option<u32>,
    /// Seconds the idle sockets settle before they are measured
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(2..=600))]
    pub(super) settle: u32,
    #[command(flatten)]
    pub(super) load: control::Load,
    #[command(flatten)]
    pub(super) manners: Manners,
    /// The server [default: `tandem` beside this program]
    #[arg(long, value_name = "PATH")]
    pub(super) server: Option<PathBuf>,
    /// A setting for the server, beside those the bench makes
    #[arg(long = "env", value_name = "KEY=VALUE", value_parser = parse_setting)]
    pub(super) settings: Vec<(String, String)>,
    /// Write the figures to this file
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Exit with 1 when a limit is missed, not only when a delivery is lost
    #[arg(long)]
    pub(super) check: bool,
}

impl Options {
    /// Idle sockets.
    pub(super) fn sockets(&self) -> u32 {
        self.sockets.unwrap_or(if self.cluster { 0 } else { SOCKETS })
    }
}

fn parse_setting(text: &str) -> Result<(String, String)> {
    let (key, value) = text.split_once('=').context("a setting looks like KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_a_name_and_a_value() {
        assert_eq!(parse_setting("A=b=c").unwrap(), ("A".to_owned(), "b=c".to_owned()));
        assert!(parse_setting("A").is_err());
    }
}
