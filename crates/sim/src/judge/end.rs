use std::collections::{BTreeMap, HashMap, HashSet};

use tandem::{
    id::{NodeId, UserId},
    room::Room,
};

use super::{court::Court, ear::Ear, field::number, verdict::Crime};
use crate::record::{Entered, Event, Standing};

impl Court<'_> {
    pub(super) fn end(
        &mut self,
        at: u64,
        rooms: &[Room],
        replicas: &[(NodeId, Room, usize)],
        clients: &[Option<Standing>],
        events: &[Entered],
    ) {
        for (node, replica, _) in replicas {
            let stored = rooms.iter().find(|room| room.id == replica.id);
            match stored {
                Some(room) if room == replica => {}
                Some(room) => {
                    let what = format!(
                        "{node} has version {} of epoch {}, the store {} of {}",
                        replica.version, replica.epoch, room.version, room.epoch
                    );
                    self.find(Crime::Replicas, at, what);
                }
                None if replica.exists() => {
                    self.find(Crime::Replicas, at, format!("{node} has a room that is not there"));
                }
                None => {}
            }
        }
        let mut sessions = HashMap::new();
        for standing in clients.iter().flatten() {
            let Some(ear) = self.ears.remove(&standing.line) else { continue };
            let who = format!("{} on socket {:?} at {}", ear.user, standing.line, ear.node);
            let session = ear.session.clone().unwrap_or_default();
            match rooms.iter().find(|room| room.id == standing.room) {
                None => self.find(Crime::Seat, at, format!("{who} believes that it is in a room, which is not there")),
                Some(room) => {
                    let member = room.members.get(&ear.user);
                    let seated = member.is_some_and(|member| member.conn.to_string() == session && member.present());
                    if seated {
                        self.at_the_end(at, &who, &ear, room);
                    } else {
                        self.find(
                            Crime::Seat,
                            at,
                            format!("{who} believes that it is in the room, and is not: {member:?}"),
                        );
                    }
                }
            }
            sessions.insert(session, ear.user.clone());
        }
        for room in rooms {
            for member in room.members.values() {
                if !sessions.contains_key(&member.conn.to_string()) {
                    let what = format!(
                        "{} is in the room ({:?}), but has no socket {}",
                        member.user, member.presence, member.conn
                    );
                    self.find(Crime::Ghost, at, what);
                }
            }
            if room.members.values().any(tandem::room::Member::present) && room.host.is_none() {
                self.find(Crime::Hosts, at, "nobody is the host".to_owned());
            }
            if let Some(host) = &room.host
                && !room.members.contains_key(host)
            {
                self.find(Crime::Hosts, at, format!("{host} is the host, and not in the room"));
            }
        }
        let joins: HashSet<u64> = events
            .iter()
            .filter_map(|entered| match &entered.event {
                Event::Sent { frame, .. } if frame["type"] == "JOIN" => Some(number(frame, "id")),
                _ => None,
            })
            .collect();
        let (mut gone, mut quit) = (HashSet::new(), HashSet::new());
        for entered in events {
            match &entered.event {
                Event::Shut { line, code: Some(4503) } => drop(gone.insert(line.0)),
                Event::Quit { client } => drop(quit.insert(*client)),
                Event::Got { line, frame } if frame["code"] == "forbidden" && joins.contains(&number(frame, "id")) => {
                    gone.insert(line.0);
                }
                // It is not gone: it tries again.
                Event::Open { line, .. } => drop(gone.remove(&line.0)),
                _ => {}
            }
        }
        let users: HashMap<usize, &UserId> = events
            .iter()
            .filter_map(|entered| match &entered.event {
                Event::Open { line, user, .. } => Some((line.0, user)),
                _ => None,
            })
            .collect();
        let is_shut_out = |client: &usize| {
            let Some(user) = users.get(client) else { return false };
            rooms.iter().any(|room| {
                room.locked
                    || room.bans.contains_key(*user)
                    || room.removed.iter().any(|removal| removal.user == **user)
            })
        };
        let came: HashSet<usize> = events
            .iter()
            .filter_map(|entered| if let Event::Open { line, .. } = &entered.event { Some(line.0) } else { None })
            .collect();
        if came.is_empty() && !clients.is_empty() {
            self.find(Crime::Seat, at, "nobody was ever let in".to_owned());
        }
        for (client, standing) in clients.iter().enumerate() {
            if standing.is_none()
                && came.contains(&client)
                && !gone.contains(&client)
                && !quit.contains(&client)
                && !is_shut_out(&client)
            {
                self.find(Crime::Seat, at, format!("client {client} was not let in again"));
            }
        }
    }

    /// A client that is in the room has been told everything, and its view of the room is right.
    pub(super) fn at_the_end(&mut self, at: u64, who: &str, ear: &Ear, room: &Room) {
        match ear.at {
            Some((epoch, _)) if epoch != room.epoch => {
                self.find(Crime::Lost, at, format!("{who} was not told of epoch {}", room.epoch));
            }
            _ => self.silent(at, who, ear, room.version + 1),
        }
        let is: BTreeMap<String, bool> =
            room.members.values().map(|member| (member.user.to_string(), member.present())).collect();
        if is != ear.view {
            self.find(Crime::Ghost, at, format!("{who} sees {:?}, there are {is:?}", ear.view));
        }
        let host = room.shown_host().map(UserId::to_string);
        if host != ear.host {
            self.find(Crime::Hosts, at, format!("{who} takes {:?} for the host, it is {host:?}", ear.host));
        }
    }
}
