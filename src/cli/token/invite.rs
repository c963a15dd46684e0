use std::{process::ExitCode, time::Duration};

use clap::Args;

use super::{shown::Deployment, ttl::ttl};
use crate::{
    clock::{self, millis},
    id::RoomId,
    token::{NewInvitation, Right, Role},
};

#[derive(Debug, Args)]
pub(super) struct Invite {
    #[command(flatten)]
    deployment: Deployment,
    /// Id of the room
    #[arg(long, value_parser = |id: &str| RoomId::parse(id))]
    room: RoomId,
    /// Role that comes with it: host, co-host or member; the room decides if not given
    #[arg(long)]
    role: Option<Role>,
    /// What the guest may do, comma-separated: join, control, broadcast, signal, moderate; whatever the role may if not given
    #[arg(long, value_delimiter = ',')]
    rights: Vec<Right>,
    /// How often it may be used; without it, as often as anybody likes
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    uses: Option<u32>,
    /// How long it is valid, such as 90 (seconds), 30m, 12h or 7d
    #[arg(long, default_value = "1d", value_parser = ttl)]
    ttl: Duration,
}

impl Invite {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let now = clock::system();
        let new = NewInvitation {
            room: self.room,
            role: self.role,
            rights: (!self.rights.is_empty()).then(|| self.rights.into_iter().collect()),
            uses: self.uses,
            expires_at: now + millis(self.ttl),
        };
        println!("{}", self.deployment.keys()?.sign(&new, now)?);
        Ok(ExitCode::SUCCESS)
    }
}
