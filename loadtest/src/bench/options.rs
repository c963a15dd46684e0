use clap::Args;

use crate::{
    client::ClientOptions,
    report::ReportOptions,
    scenario::{LoadOptions, SenderOptions},
    servers::{Kind, PeerOptions, ServerOptions},
    workers::WorkerOptions,
};

const SOCKETS: u32 = 8_000;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Also start a cluster: Redis, and nodes that share their rooms
    #[arg(long)]
    pub(super) cluster: bool,
    /// Nodes of the cluster, and of each peer beside it
    #[arg(long, value_name = "N", default_value_t = 2, requires = "cluster", value_parser = clap::value_parser!(u32).range(2..=16))]
    pub(super) nodes: u32,
    #[command(flatten)]
    pub(super) load: LoadOptions,
    #[command(flatten)]
    pub(super) senders: SenderOptions,
    /// Idle sockets to measure memory of tandem and the relay, in rooms of 4; 0: do not [default: 8000, or 0 with --cluster]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=200_000))]
    sockets: Option<u32>,
    /// Seconds for which the idle sockets are held
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(2..=600))]
    pub(super) settle: u32,
    /// Signals a second between members on different nodes; 0: none
    #[arg(long, value_name = "N", default_value_t = 2_000, requires = "cluster", value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub(super) signals: u32,
    /// Pairs of members that send signals to each other
    #[arg(long, value_name = "N", default_value_t = 100, requires = "cluster", value_parser = clap::value_parser!(u32).range(1..=5_000))]
    pub(super) pairs: u32,
    /// Pad each signal (ICE_CANDIDATE) to this many bytes
    #[arg(long, value_name = "N", default_value_t = 150, requires = "cluster", value_parser = clap::value_parser!(u32).range(1..=16_000))]
    pub(super) signal_bytes: u32,
    /// Members that join rooms of 4, each on a new socket, as fast as they are let in [default: none; 10000 without a number]
    #[arg(long, value_name = "N", default_value_t = 0, num_args = 0..=1, default_missing_value = "10000", hide_default_value = true, requires = "cluster", value_parser = clap::value_parser!(u32).range(0..=200_000))]
    pub(super) joins: u32,
    /// Rooms that are joined at the same time, one member after the other
    #[arg(long, value_name = "N", default_value_t = 64, requires = "joins", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(super) at_once: u16,
    /// Also exit with 1 if a cost is above its bound, not only if something is lost
    #[arg(long)]
    pub(super) check: bool,
    #[command(flatten)]
    pub(super) servers: ServerOptions,
    #[command(flatten)]
    pub(super) peers: PeerOptions,
    #[command(flatten)]
    pub(super) workers: WorkerOptions,
    #[command(flatten)]
    pub(super) clients: ClientOptions,
    #[command(flatten)]
    pub(super) report: ReportOptions,
}

impl Options {
    pub(super) fn sockets(&self) -> u32 {
        self.sockets.unwrap_or(if self.cluster { 0 } else { SOCKETS })
    }

    pub(super) fn kinds(&self) -> Vec<Kind> {
        let PeerOptions { socketio, centrifugo, history } = &self.peers;
        let mut kinds = vec![
            (Kind::Cluster, self.cluster),
            (Kind::ClusterResume, self.cluster && *history),
            (Kind::Tandem, true),
            (Kind::Relay, true),
            (Kind::Floor, true),
            (Kind::SocketIo, socketio.is_some()),
            (Kind::Centrifugo, centrifugo.is_some()),
            (Kind::CentrifugoHistory, centrifugo.is_some() && *history),
        ];
        kinds.retain(|(_, wanted)| *wanted);
        kinds.into_iter().map(|(kind, _)| kind).collect()
    }

    pub(super) fn clustered_kinds(&self) -> Vec<Kind> {
        let mut kinds = self.kinds();
        kinds.retain(|kind| self.cluster && !matches!(kind, Kind::Tandem | Kind::Relay | Kind::Floor));
        kinds
    }

    /// How the clients of a server join.
    pub(super) fn clients(&self, kind: Kind) -> ClientOptions {
        let mut clients = self.clients.clone();
        if kind == Kind::ClusterResume {
            clients.features.push_str(",resume");
        }
        clients
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches as _};

    use super::*;

    fn options(arguments: &str) -> Options {
        let command = Options::augment_args(Command::new("bench").no_binary_name(true));
        let matches = command.try_get_matches_from(arguments.split_ascii_whitespace()).unwrap();
        Options::from_arg_matches(&matches).unwrap()
    }

    #[test]
    fn peers_with_history_are_beside_members_with_resume() {
        assert_eq!(options("").kinds(), [Kind::Tandem, Kind::Relay, Kind::Floor]);
        let all = options("--cluster --socketio a --centrifugo b --history");
        let names: Vec<_> = all.clustered_kinds().iter().map(|kind| kind.name()).collect();
        assert_eq!(names, ["cluster", "cluster+resume", "socket.io", "centrifugo", "centrifugo+history"]);
        assert_eq!(all.clients(Kind::ClusterResume).features(), ["resume"]);
        assert!(all.clients(Kind::Cluster).features().is_empty());
    }

    #[test]
    fn a_single_node_is_compared_with_a_single_centrifugo() {
        let alone = options("--centrifugo b");
        assert_eq!(alone.kinds(), [Kind::Tandem, Kind::Relay, Kind::Floor, Kind::Centrifugo]);
        assert!(alone.clustered_kinds().is_empty());
        assert_eq!((alone.sockets(), options("--cluster").sockets()), (8_000, 0));
    }
}
