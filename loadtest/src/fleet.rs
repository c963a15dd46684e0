//! Many clients in rooms.

use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::{
    client::{Client, Peer, Seat},
    limits::check_open_files,
    progress::Progress,
    target::Target,
    units::{float, grouped},
};

/// Members of every room.
pub(crate) const MEMBERS: u32 = 4;

/// Rooms that are being joined at the same time.
const AT_ONCE: usize = 32;

/// Sockets from one source address: somewhat fewer than there are ephemeral ports.
const SOCKETS_PER_SOURCE: u32 = 25_000;

/// How the clients of a fleet present themselves.
#[derive(Debug, Clone, Args)]
pub(crate) struct Manners {
    /// Features that the clients ask for in their JOIN, for example "resume,ack"
    #[arg(long, value_name = "LIST", default_value = "")]
    features: String,
    /// Join as first-generation clients do: no list of features at all
    #[arg(long, conflicts_with = "features")]
    legacy: bool,
    /// Loopback addresses 127.0.0.1.. to connect from [default: as many as the ports need]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=250))]
    sources: Option<u8>,
}

impl Manners {
    fn features(&self) -> Option<Vec<String>> {
        let names = self.features.split(',').map(str::trim).filter(|name| !name.is_empty());
        (!self.legacy).then(|| names.map(str::to_owned).collect())
    }

    /// The address that the clients of a room connect from; `None` leaves it to the system.
    fn source(&self, room: u32, sockets: u32) -> Option<Ipv4Addr> {
        source(self.sources, room, sockets)
    }
}

/// The same for so many addresses, or as many as the ports need.
pub(crate) fn source(sources: Option<u8>, room: u32, sockets: u32) -> Option<Ipv4Addr> {
    let needed = u8::try_from(sockets.div_ceil(SOCKETS_PER_SOURCE)).unwrap_or(u8::MAX);
    let sources = sources.unwrap_or(needed);
    let turn = u8::try_from(room % u32::from(sources.max(1))).ok()?;
    (sources > 1).then(|| Ipv4Addr::new(127, 0, 0, turn.saturating_add(1)))
}

/// Who plays on which stage.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cast<'a> {
    /// The nodes. Members of a room take turns among them, and so do the hosts.
    pub(crate) targets: &'a [Target],
    /// What kind of server they are.
    pub(crate) peer: Peer,
    /// Rooms of [`MEMBERS`].
    pub(crate) rooms: u32,
    /// Members of each room that send.
    pub(crate) senders: u32,
    /// How they present themselves.
    pub(crate) manners: &'a Manners,
}

impl Cast<'_> {
    fn target(&self, room: u32, member: u32) -> Result<&Target> {
        let number = usize::try_from(room + member)? % self.targets.len().max(1);
        self.targets.get(number).context("there is no server")
    }

    async fn gather_room(&self, name: &str, room: u32) -> Result<Vec<Client>> {
        let features = self.manners.features();
        let source = self.manners.source(room, self.rooms * MEMBERS);
        let mut clients = Vec::new();
        for member in 0..MEMBERS {
            let user = format!("user-{room}-{member}");
            let seat = Seat { room: name, user: &user, features: features.as_deref(), source };
            clients.push(Client::join(self.target(room, member)?, self.peer, &seat).await?);
        }
        if self.senders > 1
            && let Some(host) = clients.first_mut()
        {
            host.send(r#"{"type":"TOGGLE_GUEST_CONTROL","enabled":true}"#).await?;
            // On every node, before a guest makes use of it.
            for client in &mut clients {
                client.receive_type("GUEST_CONTROL").await?;
            }
        }
        Ok(clients)
    }
}

/// Numbers the fleets of this process.
static FLEETS: AtomicU32 = AtomicU32::new(0);

/// Joined clients, room by room; the first of each room is its host.
#[derive(Debug)]
pub(crate) struct Fleet {
    /// The rooms.
    pub(crate) rooms: Vec<Vec<Client>>,
    /// How long it took to connect and join all.
    pub(crate) took: Duration,
}

impl Fleet {
    /// Connects and joins all of them.
    pub(crate) async fn gather(cast: &Cast<'_>, progress: &Progress) -> Result<Self> {
        let (sockets, peer) = (cast.rooms * MEMBERS, cast.peer.name());
        check_open_files(sockets)?;
        let started = Instant::now();
        // Names of its own for every run and every fleet, so that a running server may be measured twice.
        let run = format!("{}-{}", std::process::id(), FLEETS.fetch_add(1, Ordering::Relaxed));
        let rooms = stream::iter(0..cast.rooms)
            .map(|room| {
                let name = format!("load-{run}-{room}");
                async move {
                    let clients = cast.gather_room(&name, room).await?;
                    if room % 16 == 0 {
                        let done = grouped(u64::from(room * MEMBERS));
                        let all = grouped(u64::from(sockets));
                        progress.detail(&format!("{peer}: {done} of {all} sockets joined"));
                    }
                    anyhow::Ok(clients)
                }
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await
            .with_context(|| format!("cannot bring {sockets} clients into {peer}"))?;
        Ok(Self { rooms, took: started.elapsed() })
    }

    /// How many clients there are.
    pub(crate) fn sockets(&self) -> u64 {
        self.rooms.iter().map(|room| u64::try_from(room.len()).unwrap_or(0)).sum()
    }

    /// How many joined in a second.
    pub(crate) fn joins_per_second(&self) -> f64 {
        float(self.sockets()) / self.took.as_secs_f64().max(f64::EPSILON)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manners(features: &str, legacy: bool, sources: Option<u8>) -> Manners {
        Manners { features: features.to_owned(), legacy, sources }
    }

    #[test]
    fn an_empty_list_of_features_is_not_legacy() {
        assert_eq!(manners("", false, None).features(), Some(Vec::new()));
        assert_eq!(manners("", true, None).features(), None);
        assert_eq!(manners("resume, ack", false, None).features(), Some(vec!["resume".to_owned(), "ack".to_owned()]));
    }

    #[test]
    fn more_sockets_than_ports_use_more_addresses() {
        assert_eq!(manners("", false, None).source(7, 25_000), None);
        let many = manners("", false, None);
        assert_eq!(many.source(0, 60_000), Some(Ipv4Addr::LOCALHOST));
        assert_eq!(many.source(5, 60_000), Some(Ipv4Addr::new(127, 0, 0, 3)));
        assert_eq!(manners("", false, Some(2)).source(1, 8), Some(Ipv4Addr::new(127, 0, 0, 2)));
    }
}
