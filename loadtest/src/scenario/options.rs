use anyhow::{Result, ensure};
use clap::Args;

use crate::{
    client::ClientOptions,
    load::{MAX_RATE, MEMBERS, Message, Plan},
    report::ReportOptions,
    servers::{Deployment, DeploymentOptions, Launcher},
    workers::WorkerOptions,
};

#[derive(Debug, Clone, Args)]
pub(crate) struct LoadOptions {
    /// Rooms
    #[arg(long, value_name = "N", default_value_t = 250, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub(crate) rooms: u32,
    /// Changes a second in each room; each is delivered to all of its members
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) rate: u32,
    /// Seconds of a round
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) seconds: u32,
    /// Rounds that are measured, after one that warms up
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,
}

impl LoadOptions {
    /// Changes a second in all rooms together.
    pub(crate) fn per_second(&self) -> u64 {
        u64::from(self.rooms) * u64::from(self.rate)
    }
}

/// Who sends changes, and of which size.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct SenderOptions {
    /// Members of each room that send changes, in turn; they are on all nodes in turn
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    pub(crate) senders: u32,
    /// Pad each change (PLAY_PAUSE) to this many bytes [default: not padded, about 60 bytes]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, value_parser = clap::value_parser!(u32).range(0..=4_000))]
    pub(crate) change_bytes: u32,
}

impl SenderOptions {
    pub(crate) fn message(self) -> Message {
        Message::Change { bytes: self.change_bytes }
    }

    /// Changes a second in so many rooms at most.
    pub(crate) fn most(self, rooms: u32) -> u64 {
        u64::from(rooms) * u64::from(self.senders) * u64::from(MAX_RATE)
    }

    /// Refuses more senders than members, and more changes than senders may send.
    pub(crate) fn check(self, rooms: u32, members: u32, per_second: u64) -> Result<()> {
        let senders = self.senders;
        ensure!(senders <= members, "--senders {senders}, but a room has only {members} members");
        let most = self.most(rooms);
        ensure!(
            per_second <= most,
            "{per_second} changes a second are more than the {most} that {rooms} rooms with {senders} senders may send \
             ({MAX_RATE} a second and socket): use more --rooms or more --senders"
        );
        Ok(())
    }
}

/// Who is in the rooms, and who serves them.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServedOptions {
    /// Members of each room
    #[arg(long, value_name = "N", default_value_t = MEMBERS, value_parser = clap::value_parser!(u32).range(2..=5_000))]
    pub(super) members: u32,
    #[command(flatten)]
    pub(super) deployment: DeploymentOptions,
    #[command(flatten)]
    pub(super) workers: WorkerOptions,
    #[command(flatten)]
    pub(super) clients: ClientOptions,
    #[command(flatten)]
    pub(super) report: ReportOptions,
}

impl ServedOptions {
    pub(super) async fn start(&self) -> Result<Deployment> {
        Launcher::open(&self.deployment.clone().for_rooms_of(self.members)).await
    }

    pub(super) fn plan(&self, deployment: &Deployment, rooms: u32) -> Plan {
        Plan::new(&deployment.targets(), deployment.peer(), rooms, self.members, &self.clients)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_asked_to_send_more_than_it_may() {
        let senders = |senders| SenderOptions { senders, change_bytes: 0 };
        assert!(senders(1).check(10, 4, 900).is_ok() && senders(1).check(10, 4, 901).is_err());
        assert!(senders(4).check(10, 4, 3_600).is_ok() && senders(5).check(10, 4, 1).is_err());
    }
}
