//! Many clients in rooms.

use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context, Result};
use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use crate::{
    client::{Client, Peer, Seat},
    limits::check_open_files,
    progress::Progress,
    target::Target,
    units::grouped,
};

/// Members of a room where nothing else is said.
pub(crate) const MEMBERS: u32 = 4;

/// Frames a second that a host sends at most: servers give a socket 100, and its other frames take some.
pub(crate) const BUSIEST: u32 = 90;

/// Rooms that are being joined at the same time.
const AT_ONCE: usize = 32;

/// Sockets from one source address: somewhat fewer than there are ephemeral ports.
const SOCKETS_PER_SOURCE: u32 = 25_000;

/// How the clients of a fleet present themselves.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
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
    /// Those that they ask for; `None` for first-generation clients.
    pub(crate) fn features(&self) -> Option<Vec<String>> {
        let names = self.features.split(',').map(str::trim).filter(|name| !name.is_empty());
        (!self.legacy).then(|| names.map(str::to_owned).collect())
    }
}

/// The address that the clients of a room connect from, out of so many, or as many as the ports need; `None` leaves it to the system.
pub(crate) fn source(sources: Option<u8>, room: u32, sockets: u32) -> Option<Ipv4Addr> {
    let needed = u8::try_from(sockets.div_ceil(SOCKETS_PER_SOURCE)).unwrap_or(u8::MAX);
    let sources = sources.unwrap_or(needed);
    let turn = u8::try_from(room % u32::from(sources.max(1))).ok()?;
    (sources > 1).then(|| Ipv4Addr::new(127, 0, 0, turn.saturating_add(1)))
}

/// Numbers the casts of this process.
static CASTS: AtomicU32 = AtomicU32::new(0);

/// Who plays on which stage.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Cast {
    /// The nodes. Members of a room take turns among them, and so do the hosts.
    pub(crate) targets: Vec<Target>,
    /// What kind of server they are.
    pub(crate) peer: Peer,
    /// What the names of its rooms begin with.
    pub(crate) name: String,
    /// The number of its first room; others have those before.
    pub(crate) first: u32,
    /// Rooms.
    pub(crate) rooms: u32,
    /// Members of each.
    pub(crate) members: u32,
    /// Members of each room that send.
    pub(crate) senders: u32,
    /// Sockets of this cast and of all that play beside it.
    pub(crate) of_sockets: u32,
    /// How they present themselves.
    pub(crate) manners: Manners,
}

impl Cast {
    /// One that plays alone, in rooms whose names nobody had before: a running server may be measured twice.
    pub(crate) fn new(targets: Vec<Target>, peer: Peer, (rooms, members): (u32, u32), manners: &Manners) -> Self {
        let name = format!("load-{}-{}", std::process::id(), CASTS.fetch_add(1, Ordering::Relaxed));
        let of_sockets = rooms * members;
        Self { targets, peer, name, first: 0, rooms, members, senders: 0, of_sockets, manners: manners.clone() }
    }

    /// How many of each room send.
    pub(crate) fn with_senders(self, senders: u32) -> Self {
        Self { senders, ..self }
    }

    /// The same rooms in so many parts of nearly the same size.
    pub(crate) fn split(&self, parts: u32) -> Vec<Self> {
        let parts = parts.clamp(1, self.rooms.max(1));
        let from = |part: u32| self.rooms / parts * part + (self.rooms % parts).min(part);
        let part =
            |part: u32| Self { first: self.first + from(part), rooms: from(part + 1) - from(part), ..self.clone() };
        (0..parts).map(part).collect()
    }

    /// Sockets.
    pub(crate) fn sockets(&self) -> u32 {
        self.rooms * self.members
    }

    fn target(&self, room: u32, member: u32) -> Result<&Target> {
        let number = usize::try_from(room + member)? % self.targets.len().max(1);
        self.targets.get(number).context("there is no server")
    }

    async fn gather_room(&self, room: u32) -> Result<Vec<Client>> {
        let features = self.manners.features();
        let source = source(self.manners.sources, room, self.of_sockets);
        let name = format!("{}-{room}", self.name);
        let mut clients = Vec::new();
        for member in 0..self.members {
            let user = format!("user-{room}-{member}");
            let seat = Seat { room: &name, user: &user, features: features.as_deref(), source };
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

    /// Connects and joins all of them. Each room is handed over, with its place, as soon as it is full; its first member is its host.
    pub(crate) async fn gather(&self, progress: &Progress, mut room_is_in: impl FnMut(u32, Vec<Client>)) -> Result<()> {
        let (sockets, peer) = (self.sockets(), self.peer.name());
        check_open_files(sockets)?;
        let mut rooms = stream::iter(0..self.rooms)
            .map(|place| async move { anyhow::Ok((place, self.gather_room(self.first + place).await?)) })
            .buffer_unordered(AT_ONCE);
        let mut done = 0;
        let context = || format!("cannot bring {sockets} clients into {peer}");
        while let Some((place, clients)) = rooms.try_next().await.with_context(context)? {
            room_is_in(place, clients);
            done += self.members;
            if done % 64 < self.members {
                let (done, all) = (grouped(u64::from(done)), grouped(u64::from(sockets)));
                progress.detail(&format!("{peer}: {done} of {all} sockets joined"));
            }
        }
        Ok(())
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
    fn parts_have_all_rooms_once_and_know_of_each_other() {
        let cast = Cast::new(Vec::new(), Peer::Tandem, (11, 4), &manners("", false, None));
        let parts = cast.split(3);
        let places: Vec<_> = parts.iter().map(|part| (part.first, part.rooms)).collect();
        assert_eq!(places, [(0, 4), (4, 4), (8, 3)]);
        assert!(parts.iter().all(|part| part.name == cast.name && part.of_sockets == 44));
        assert_eq!(cast.split(99).len(), 11);
    }

    #[test]
    fn more_sockets_than_ports_use_more_addresses() {
        assert_eq!(source(None, 7, 25_000), None);
        assert_eq!(source(None, 0, 60_000), Some(Ipv4Addr::LOCALHOST));
        assert_eq!(source(None, 5, 60_000), Some(Ipv4Addr::new(127, 0, 0, 3)));
        assert_eq!(source(Some(2), 1, 8), Some(Ipv4Addr::new(127, 0, 0, 2)));
    }
}
