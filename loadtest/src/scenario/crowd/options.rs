use clap::Args;

use super::trouble::Trouble;
use crate::{
    load::{Message, Plan},
    scenario::ServedOptions,
    servers::Deployment,
};

/// Sockets of a worker process, unless it is said otherwise: the system may allow a process no more than 20,000 open files.
const SOCKETS_PER_PROCESS: u32 = 18_000;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Sockets, in rooms of --members
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(2..=2_000_000))]
    sockets: u32,
    /// Seconds to hold the sockets while nobody does anything: they settle in the first half, and the second half is measured
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(2..=3_600))]
    pub(super) seconds: u32,
    /// One room in so many plays and pauses while something goes wrong
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    playing: u32,
    /// Changes a second in each room that plays
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=20))]
    rate: u32,
    /// What goes wrong, in this order
    #[arg(
        long,
        value_enum,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "kill,failover,rolling,restart"
    )]
    trouble: Vec<Trouble>,
    /// Milliseconds over which clients come back that have lost their connections at the same moment
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(0..=60_000))]
    within_ms: u32,
    /// Clients of a process that are on their way back at a time; the others wait, as in the queue of a load balancer
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=20_000))]
    returning_at_once: u16,
    /// Seconds that a node has been ready before the next one is restarted, as in a Deployment of Kubernetes; for the trouble `rolling`
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=3_600))]
    pub(super) min_ready_seconds: u32,
    /// Roll calls a second: after each trouble one member of each room calls, and all must hear it
    #[arg(long, value_name = "N", default_value_t = 3_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    calls: u32,
    /// Also exit with 1 if a goal is missed: memory, CPU, joins a second, and how soon all are back
    #[arg(long)]
    pub(super) check: bool,
    #[command(flatten)]
    served: ServedOptions,
}

impl Options {
    pub(super) fn trouble(&self) -> impl Iterator<Item = Trouble> {
        self.trouble.iter().copied()
    }

    /// Several nodes with Redis, and clients that can come back, on servers that take their time as they do by default.
    pub(super) fn served(&self) -> ServedOptions {
        let mut served = self.served.clone();
        served.clients.features.push_str(",resume");
        served.deployment.nodes = served.deployment.nodes.max(2);
        served.deployment = served.deployment.with("DRAIN_SECONDS", "10");
        if self.trouble().any(|it| it == Trouble::Failover) {
            served.deployment = served.deployment.with_sentinels();
        }
        let processes = self.sockets.div_ceil(SOCKETS_PER_PROCESS);
        served.workers.processes = served.workers.processes.max(processes);
        served
    }

    pub(super) fn plan(&self, served: &ServedOptions, deployment: &Deployment) -> Plan {
        let plan = served.plan(deployment, self.rooms());
        let plan = plan.sending(Message::Change { bytes: 0 }, 1);
        Plan {
            playing_every: self.playing,
            patient: true,
            returns: true,
            returning_at_once: self.returning_at_once,
            pause_ms: self.within_ms,
            ..plan
        }
    }

    fn rooms(&self) -> u32 {
        (self.sockets / self.served.members).max(1)
    }

    /// Changes a second in all rooms that play.
    pub(super) fn per_second(&self) -> u64 {
        u64::from((self.rooms() / self.playing).max(1) * self.rate)
    }

    /// Seconds that a roll call takes.
    pub(super) fn call_seconds(&self) -> u32 {
        self.rooms().div_ceil(self.calls)
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches as _};

    use super::*;

    fn options(arguments: &str) -> Options {
        let command = Options::augment_args(Command::new("crowd").no_binary_name(true));
        let matches = command.try_get_matches_from(arguments.split_ascii_whitespace()).unwrap();
        Options::from_arg_matches(&matches).unwrap()
    }

    #[test]
    fn a_crowd_is_shared_among_processes_and_some_of_it_plays() {
        let crowd = options("--sockets 200000 --nodes 12 --trouble kill");
        let served = crowd.served();
        assert_eq!((served.workers.processes, served.deployment.nodes), (12, 12));
        assert_eq!(served.clients.features(), ["resume"]);
        assert_eq!((crowd.per_second(), crowd.call_seconds()), (100, 17));
        assert_eq!(options("--processes 3").served().workers.processes, 3);
    }

    #[test]
    fn trouble_comes_in_the_order_that_was_given() {
        let trouble = |arguments| options(arguments).trouble().collect::<Vec<_>>();
        assert_eq!(trouble("--trouble restart,kill"), [Trouble::Restart, Trouble::Kill]);
        assert_eq!(trouble("--trouble none"), [Trouble::None]);
        assert_eq!(trouble("").len(), 4);
    }
}
