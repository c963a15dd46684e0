use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context, Result};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::Message;
use crate::{
    client::{Client, ClientOptions, Entry, Join, Peer, Seat},
    limits::check_open_files,
};

pub(crate) const MEMBERS: u32 = 4;

/// Messages a second of one sender at most: tandem allows 100 frames a second, and the sender needs some for others.
pub(crate) const MAX_RATE: u32 = 90;

/// Rooms that are joined at the same time, unless it is said otherwise.
const CONCURRENT_ROOMS: u16 = 32;

/// How often a patient member asks again, and the wait before that, about.
const PATIENCE: u32 = 20;
const AGAIN: Duration = Duration::from_secs(1);

/// The length of ids of rooms and users: as short as random ones can be.
const ID_BYTES: usize = 16;

static PLANS: AtomicU32 = AtomicU32::new(0);

/// Clients in rooms, and what they send.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// The nodes. The members of a room are on them in turn, and so are the first members of the rooms.
    pub(crate) targets: Vec<SocketAddr>,
    pub(crate) peer: Peer,
    /// The prefix of the names of the rooms.
    pub(crate) name: String,
    /// The number of the first room; other generators have those before it.
    pub(crate) first_room: u32,
    pub(crate) rooms: u32,
    pub(crate) members: u32,
    /// Members of each room that send, in turn.
    pub(crate) senders: u32,
    /// One room in so many is sent messages, at least one of each generator.
    pub(crate) playing_every: u32,
    /// Whether a sender waits for its own message before it sends the next one, and sends again what was refused because shared state was
    /// away.
    pub(crate) patient: bool,
    /// Whether members come back when they lose their connections. Otherwise that is an error.
    pub(crate) returns: bool,
    /// Members that are on their way back to a node at a time; the others wait in the queue of a balancer.
    pub(crate) returning_at_once: u16,
    /// Milliseconds over which those come back that have lost their connections at the same moment.
    pub(crate) pause_ms: u32,
    pub(crate) message: Message,
    pub(crate) clients: ClientOptions,
    /// Rooms that are joined at the same time.
    pub(crate) at_once: u16,
}

impl Plan {
    /// Idle clients in rooms with names that nobody used before: a running server may be measured twice.
    pub(crate) fn new(targets: &[SocketAddr], peer: Peer, rooms: u32, members: u32, clients: &ClientOptions) -> Self {
        Self {
            targets: targets.to_vec(),
            peer,
            name: format!("l{}-{}", std::process::id(), PLANS.fetch_add(1, Ordering::Relaxed)),
            first_room: 0,
            rooms,
            members,
            senders: 0,
            playing_every: 1,
            patient: false,
            returns: false,
            returning_at_once: CONCURRENT_ROOMS,
            pause_ms: 0,
            message: Message::Change { bytes: 0 },
            clients: clients.clone(),
            at_once: CONCURRENT_ROOMS,
        }
    }

    pub(crate) fn sending(self, message: Message, senders: u32) -> Self {
        Self { senders, message, ..self }
    }

    /// The same rooms in several parts of nearly equal size.
    pub(crate) fn split(&self, parts: u32) -> Vec<Self> {
        let parts = parts.clamp(1, self.rooms.max(1));
        let from = |part: u32| self.rooms / parts * part + (self.rooms % parts).min(part);
        let part = |part: u32| {
            let (first_room, rooms) = (self.first_room + from(part), from(part + 1) - from(part));
            Self { first_room, rooms, ..self.clone() }
        };
        (0..parts).map(part).collect()
    }

    pub(crate) fn sockets(&self) -> u32 {
        self.rooms * self.members
    }

    /// The rooms that are sent messages: the first ones.
    pub(crate) fn playing(&self) -> u32 {
        (self.rooms / self.playing_every.max(1)).max(1).min(self.rooms)
    }

    /// The node of a member at first.
    pub(super) fn home(&self, room: u32, member: u32) -> usize {
        usize::try_from(self.first_room + room + member).unwrap_or(0) % self.targets.len().max(1)
    }

    /// Joins a member on a node, or takes its seat again if it was kept.
    pub(super) async fn enter(&self, room: u32, member: u32, node: usize, seat: Seat) -> Result<(Client, Entry)> {
        let (room, features) = (self.first_room + room, self.clients.features());
        let join = Join {
            server: *self.targets.get(node).context("there is no server")?,
            peer: self.peer,
            room: &format!("{}-{room:0width$}", self.name, width = ID_BYTES.saturating_sub(self.name.len() + 1)),
            user: &format!("user-{room:07}-{member:03}"),
            features: &features,
            source: self.clients.source(room * self.members + member),
        };
        Client::enter(&join, seat).await
    }

    /// Joins a member on the node that is its own at first. A patient one asks again; returns also how often.
    async fn join_member(&self, room: u32, member: u32) -> Result<(Client, u32)> {
        let mut refused = 0;
        loop {
            match self.enter(room, member, self.home(room, member), Seat::default()).await {
                Ok((client, _)) => return Ok((client, refused)),
                Err(error) if !self.patient || refused == PATIENCE => return Err(error),
                Err(_) => {
                    refused += 1;
                    sleep(AGAIN.mul_f64(0.5 + rand::random::<f64>())).await;
                }
            }
        }
    }

    /// Joins all members of a room. Each comes with the address that it sends signals to.
    async fn join_room(&self, room: u32, refused: &AtomicU32) -> Result<Vec<(Client, String)>> {
        let mut clients = Vec::new();
        for member in 0..self.members {
            let (client, again) = self.join_member(room, member).await?;
            refused.fetch_add(again, Ordering::Relaxed);
            clients.push(client);
        }
        if self.message.is_signal() {
            let mut addresses = Vec::new();
            for client in &mut clients {
                addresses.push(client.address().await?);
            }
            addresses.rotate_left(1);
            return Ok(clients.into_iter().zip(addresses).collect());
        }
        if self.senders > 1 && self.peer == Peer::Tandem {
            allow_guests(&mut clients).await?;
        }
        Ok(clients.into_iter().map(|client| (client, String::new())).collect())
    }

    /// Connects and joins all clients. Hands over each room as soon as it is complete. Returns how often patient members were refused.
    pub(crate) async fn join(&self, mut room_joined: impl FnMut(u32, Vec<(Client, String)>)) -> Result<u32> {
        let refused = AtomicU32::new(0);
        let sockets = self.sockets();
        check_open_files(sockets)?;
        let mut rooms = stream::iter(0..self.rooms)
            .map(async |room| anyhow::Ok((room, self.join_room(room, &refused).await?)))
            .buffer_unordered(self.at_once.into());
        let context = || format!("cannot join {sockets} clients to {:?}", self.peer);
        while let Some((room, clients)) = rooms.try_next().await.with_context(context)? {
            room_joined(room, clients);
        }
        Ok(refused.load(Ordering::Relaxed))
    }
}

/// Lets guests control the player, and waits until every member knows.
async fn allow_guests(clients: &mut [Client]) -> Result<()> {
    let Some(host) = clients.first_mut() else { return Ok(()) };
    host.send(r#"{"type":"TOGGLE_GUEST_CONTROL","enabled":true}"#.to_owned()).await?;
    for client in clients {
        client.receive_type("GUEST_CONTROL").await?;
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    pub(crate) fn plan(rooms: u32, members: u32, senders: u32) -> Plan {
        let command = ClientOptions::augment_args(clap::Command::new("clients"));
        let clients = ClientOptions::from_arg_matches(&command.get_matches_from(["clients"])).unwrap();
        Plan { senders, ..Plan::new(&[], Peer::Tandem, rooms, members, &clients) }
    }

    #[test]
    fn parts_have_every_room_once() {
        let plan = plan(11, 4, 1);
        let parts = plan.split(3);
        let places: Vec<_> = parts.iter().map(|part| (part.first_room, part.rooms)).collect();
        assert_eq!(places, [(0, 4), (4, 4), (8, 3)]);
        assert!(parts.iter().all(|part| part.name == plan.name));
        assert_eq!(plan.split(99).len(), 11);
    }

    #[test]
    fn some_rooms_play() {
        let playing = |rooms, playing_every| Plan { playing_every, ..plan(rooms, 4, 1) }.playing();
        assert_eq!([playing(50, 1), playing(5_000, 1_000), playing(7, 1_000)], [50, 5, 1]);
    }
}
