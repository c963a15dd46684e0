use std::{process::ExitCode, time::Duration};

use clap::Args;
use url::Url;

use super::{shown::Deployment, ttl::ttl};
use crate::{
    clock::{self, millis},
    id::RoomId,
    token::{GrantedRole, NewInvitation, Right},
};

#[derive(Debug, Args)]
pub(super) struct Invite {
    #[command(flatten)]
    deployment: Deployment,
    /// Id of the room
    #[arg(long, value_parser = |id: &str| RoomId::parse(id))]
    room: RoomId,
    /// GrantedRole that comes with it: host, co-host or member; the room decides if not given
    #[arg(long)]
    role: Option<GrantedRole>,
    /// What the guest may do, comma-separated: join, control, broadcast, signal, moderate; whatever the role may if not given
    #[arg(long, value_delimiter = ',')]
    rights: Vec<Right>,
    /// How often it may be used; without it, as often as anybody likes
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    uses: Option<u32>,
    /// How long it is valid, such as 90 (seconds), 30m, 12h or 7d
    #[arg(long, default_value = "1d", value_parser = ttl)]
    ttl: Duration,
    /// How long an invitation may be valid at most, in seconds, on the nodes
    #[arg(long = "auth-max-lifetime-seconds", env = "AUTH_MAX_LIFETIME_SECONDS", default_value_t = 604_800)]
    most_lifetime: u64,
    /// Address of a node or of what is in front of it, such as <https://tandem.example.org>: a link to its page is printed in place of the invitation
    #[arg(long)]
    link: Option<Url>,
}

impl Invite {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let (now, most) = (clock::system(), Duration::from_secs(self.most_lifetime));
        anyhow::ensure!(
            self.ttl <= most,
            "--ttl: nodes accept invitations of {} seconds at most (AUTH_MAX_LIFETIME_SECONDS)",
            most.as_secs()
        );
        let new = NewInvitation {
            room: self.room,
            role: self.role,
            rights: (!self.rights.is_empty()).then(|| self.rights.into_iter().collect()),
            uses: self.uses,
            expires_at: now + millis(self.ttl),
        };
        let invitation = self.deployment.keys(most)?.sign(&new, now)?;
        match self.link {
            // What comes after # is sent to no server.
            Some(mut link) => {
                link.set_fragment(Some(&format!("invite={invitation}")));
                println!("{link}");
            }
            None => println!("{invitation}"),
        }
        Ok(ExitCode::SUCCESS)
    }
}
