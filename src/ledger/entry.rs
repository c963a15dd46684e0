use std::{num::NonZero, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    Event, Film, RoomState,
    event::event_id,
    table::columns,
    trace::{Trace, describe, kind, trace},
};
use crate::{
    id::{NodeId, SERVER, UserId},
    room::{Change, Digest, Grant, Member, Presence, Room, UnknownFields, Update},
};

/// What one commit writes to the ledger: its changes, and what cannot be derived from them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The node that decided the changes.
    pub node: NodeId,
    /// The committed update itself, unless broadcasts are in it: their payloads are not for auditors, so its copy is without them.
    pub update: Arc<Update>,
    /// The lengths of these payloads in bytes, in the order of the broadcasts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub payloads: Vec<u64>,
    /// The room after the update. `None` if nothing in it has changed but the film, whose position the update tells, and for a room that was
    /// closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Box<RoomState>>,
    /// Members after the update, where it tells only a part of what has changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seats: Vec<Member>,
}

// A row of `users`, without the columns that a seat does not know: its room, and when it was taken and left.
columns! {
    write and read Member {
        user => "id" Text,
        username => "username" Text,
        role => "role" Text,
        order => "seat_order" BigInt,
        conn => "peer_id" Text,
        token => "token_digest" Text,
        origin => "origin" Text,
    } beside {
        node: NodeId,
        token_before: Option<Digest>,
        token_beside: Option<Box<Digest>>,
        shown_at: Option<NonZero<u32>>,
        presence: Presence,
        watching: bool,
        grant: Option<Box<Grant>>,
        unknown: UnknownFields,
    }
}

impl Entry {
    /// The entry of an update that `node` decided. `None` if the ledger keeps nothing of it.
    pub fn new(update: &Arc<Update>, node: &NodeId, after: &Room) -> Option<Self> {
        let traces = || update.changes.iter().map(trace);
        if traces().all(|trace| matches!(trace, Trace::Nothing)) {
            return None;
        }
        let alters_room = |trace| matches!(trace, Trace::Room | Trace::Seat(_) | Trace::Departure(_));
        // What the ledger knows of a room that was restored may be of a version that nobody else has any more.
        let is_stated = traces().any(alters_room) || after.born.is_some();
        let seat = |trace| if let Trace::PartOfSeat(user) = trace { after.members.get(user).cloned() } else { None };
        let (update, payloads) = without_payloads(update);
        Some(Self {
            node: node.clone(),
            state: (is_stated && after.exists()).then(|| Box::new(RoomState::new(after))),
            seats: update.changes.iter().map(trace).filter_map(seat).collect(),
            update,
            payloads,
        })
    }

    /// Its events, in the order of versions.
    pub fn events(&self) -> Vec<Event> {
        let Update { room, epoch, base, at, changes } = &*self.update;
        let mut payloads = self.payloads.iter();
        let mut events = Vec::with_capacity(changes.len());
        for (offset, change) in (1..).zip(changes) {
            let payload = if let Change::Broadcast { .. } = change { payloads.next() } else { None };
            let Some((kind, user, data)) = describe(change, payload.copied().unwrap_or_default()) else { continue };
            let version = base.saturating_add(offset);
            events.push(Event {
                id: event_id(room, *epoch, version, *at),
                room: room.clone(),
                kind,
                user: user.map_or(SERVER, UserId::as_str).into(),
                data,
                at: *at,
                epoch: *epoch,
                version,
                node: self.node.clone(),
            });
        }
        events
    }

    /// The number of its events.
    pub fn event_count(&self) -> u64 {
        self.update.changes.iter().filter(|change| kind(change).is_some()).count() as u64
    }

    /// The version after its changes, which a foreign entry may put out of range.
    pub(super) fn version(&self) -> u64 {
        self.update.base.saturating_add(self.update.changes.len() as u64)
    }

    /// Whether the room is closed after it.
    pub(super) fn closes(&self) -> bool {
        self.update.changes.last().is_some_and(|change| matches!(trace(change), Trace::Closed))
    }

    /// Where the film is after it, if it tells.
    pub(super) fn film(&self) -> Option<Film> {
        if let Some(state) = &self.state {
            return Some(state.film);
        }
        let at = self.update.at;
        let film =
            |change| if let Trace::Film(playback) = trace(change) { Some(Film::new(playback, at)) } else { None };
        self.update.changes.iter().rev().find_map(film)
    }

    /// The rows for the table `users`: members whose seat is new or has changed, and who are still there.
    pub(super) fn seats(&self) -> Vec<&Member> {
        let mut seats: Vec<&Member> = Vec::new();
        for change in &self.update.changes {
            let (user, seat) = match trace(change) {
                Trace::Seat(member) => (&member.user, Some(member)),
                Trace::PartOfSeat(user) => (user, self.seats.iter().find(|seat| seat.user == *user)),
                Trace::Departure(user) => (user, None),
                Trace::Nothing | Trace::Event | Trace::Film(_) | Trace::Room | Trace::Closed => continue,
            };
            seats.retain(|known| known.user != *user);
            seats.extend(seat);
        }
        seats
    }

    /// The users who are gone, with the version of their departure: a user who leaves and comes back within one commit is there.
    pub(super) fn departures(&self) -> impl Iterator<Item = (&UserId, u64)> {
        let versions = (1..).map(|offset| self.update.base.saturating_add(offset));
        versions.zip(&self.update.changes).filter_map(|(version, change)| {
            if let Trace::Departure(user) = trace(change) { Some((user, version)) } else { None }
        })
    }
}

/// The update without the payloads of its broadcasts, and their lengths.
fn without_payloads(update: &Arc<Update>) -> (Arc<Update>, Vec<u64>) {
    let carries = |change: &Change| matches!(change, Change::Broadcast { data: Some(_), .. });
    if !update.changes.iter().any(carries) {
        return (Arc::clone(update), Vec::new());
    }
    let mut bare = Update::clone(update);
    let mut payloads = Vec::new();
    for change in &mut bare.changes {
        if let Change::Broadcast { data, .. } = change {
            payloads.push(data.take().map_or(0, |data| data.0.get().len() as u64));
        }
    }
    (Arc::new(bare), payloads)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Millis,
        id::{ConnId, RoomId},
        ledger::sqlite,
        room::{
            Attempt, Attempts, Ban, Gate, Guesser, Json, LeftReason, Misses, Playback, Refusal, Rights, Role, Sent,
            Vacancy,
        },
    };

    const NOW: Millis = 1_700_000_000_000;

    fn user(name: &str) -> UserId {
        UserId::parse(name).unwrap()
    }

    fn node() -> NodeId {
        NodeId::parse("node").unwrap()
    }

    fn member(name: &str, order: u64) -> Member {
        Member {
            user: user(name),
            username: None,
            role: Role::Member,
            conn: ConnId::random(),
            node: node(),
            origin: Digest::new([u8::try_from(order).unwrap(); 32]),
            token: Some(Digest::new([7; 32])),
            token_before: None,
            token_beside: None,
            shown_at: None,
            presence: Presence::Present,
            order,
            watching: true,
            grant: None,
            unknown: UnknownFields::default(),
        }
    }

    /// Ana, the host, and Ben are there.
    fn room() -> Room {
        let mut room = Room::vacant(RoomId::parse("r").unwrap());
        let pin = Some(Digest::new([9; 32]));
        room.apply(&Change::Created { epoch: NOW, pin, by: user("ana") }, NOW);
        room.apply(&Change::Joined { member: member("ana", 1), host: true }, NOW);
        room.apply(&Change::Joined { member: member("ben", 2), host: false }, NOW);
        room
    }

    fn payload() -> Json {
        Json(serde_json::value::RawValue::from_string("[1,null]".to_owned()).unwrap().into())
    }

    /// Every change that does something to [`room`]. The match asks for those that are missing.
    fn changes() -> Vec<Change> {
        let playback = Playback { position: 12.5, playing: true, rate: 1.25 };
        let timeline = playback.timeline(NOW + 5, &user("ana"));
        let gate = Gate { target: 12.5, opened: NOW, deadline: NOW + 7_000, waiting: vec![user("ben")], ready: 0 };
        let (ana, ben, conn) = (user("ana"), user("ben"), ConnId::random());
        let left = |who: &UserId, reason, vacancy| Change::Left {
            user: who.clone(),
            conn,
            reason,
            vacancy,
            empty_until: Some(NOW + 9),
        };
        let vacancy = Vacancy { user: user("ana"), origin: Some(Digest::new([1; 32])), until: NOW + 9 };
        let again = Member { username: Some("Ana".into()), ..member("ana", 5) };
        let attempts: Attempts = serde_json::from_str(r#"{"whole_at": 4}"#).unwrap();
        let grant = Grant { verified: true, role: None, rights: Rights::ALL, named: false, metadata: Some(payload()) };
        let misses: Misses = serde_json::from_str(r#"{"count": 1, "last": 2, "open_at": 3}"#).unwrap();
        let guesser = serde_json::from_value(serde_json::json!({
            "origin": Digest::new([1; 32]), "misses": 1, "at": NOW, "open_at": NOW + 3
        }));
        let guesser: Guesser = guesser.unwrap();
        let what = "KICK".into();
        let attempt =
            Attempt { user: user("eve"), conn, origin: Digest::new([1; 32]), what, refusal: Refusal::NotJoined };
        let all = vec![
            Change::Created { epoch: NOW + 1, pin: None, by: ana.clone() },
            Change::Joined { member: member("cem", 3), host: true },
            Change::Rejoined { member: again.clone(), host: true, was_away: true },
            Change::Back { member: again, was_away: true },
            Change::Away { user: ben.clone(), since: NOW, until: NOW + 30_000 },
            left(&ben, LeftReason::Left, None),
            left(&ana, LeftReason::Disconnected, Some(vacancy)),
            left(&ben, LeftReason::Kicked { by: ana.clone(), note: None }, None),
            Change::HostChanged { host: ben.clone() },
            Change::RoleChanged { user: ben.clone(), role: Role::CoHost, by: ana.clone() },
            Change::GuestControl { enabled: true, by: ana.clone() },
            Change::Renamed { user: ben.clone(), username: "Ben".into() },
            Change::PlayPause {
                by: ben.clone(),
                event: Some(1.0),
                playback,
                sent: Sent { position: false, rate: false },
            },
            Change::Sought { by: ben.clone(), event: None, playback, gate: Some(gate) },
            Change::Ready { user: ben.clone() },
            Change::Released { target: 12.5, opened: NOW, timeline },
            Change::Heartbeat { by: ana.clone(), event: None, playback },
            Change::Corrected { by: ana.clone(), playback },
            Change::Watching { user: ben.clone(), watching: false },
            Change::UrlChanged { by: ana.clone(), url: "https://x.org/1".into(), time: None, playback },
            Change::Broadcast { by: ana.clone(), event: "chat".into(), data: Some(payload()) },
            Change::PinMissed { misses },
            Change::PinTried { guesser, whole_at: NOW + 2_000 },
            Change::Locked { locked: true, by: ana.clone() },
            Change::PinSet { pin: Some(Digest::new([3; 32])), by: ana.clone() },
            Change::Banned {
                ban: Ban { user: user("eve"), username: None, origin: None, at: NOW },
                by: ana.clone(),
                note: None,
            },
            Change::Unbanned { user: user("eve"), by: ana.clone() },
            Change::Granted { user: ben.clone(), grant },
            left(&ben, LeftReason::Removed { by: ana.clone(), note: None }, None),
            Change::Refused { attempt, attempts },
            Change::Closed,
        ];
        let number = |change: &Change| match change {
            Change::Created { .. } => 0,
            Change::Joined { .. } => 1,
            Change::Rejoined { .. } => 2,
            Change::Back { .. } => 3,
            Change::Away { .. } => 4,
            Change::Left { .. } => 5,
            Change::HostChanged { .. } => 6,
            Change::RoleChanged { .. } => 7,
            Change::GuestControl { .. } => 8,
            Change::Renamed { .. } => 9,
            Change::PlayPause { .. } => 10,
            Change::Sought { .. } => 11,
            Change::Ready { .. } => 12,
            Change::Released { .. } => 13,
            Change::Heartbeat { .. } => 14,
            Change::Corrected { .. } => 15,
            Change::Watching { .. } => 16,
            Change::UrlChanged { .. } => 17,
            Change::Broadcast { .. } => 18,
            Change::PinMissed { .. } => 19,
            Change::Refused { .. } => 20,
            Change::Closed => 21,
            Change::PinTried { .. } => 22,
            Change::Locked { .. } => 23,
            Change::PinSet { .. } => 24,
            Change::Banned { .. } => 25,
            Change::Unbanned { .. } => 26,
            Change::Granted { .. } => 27,
        };
        let numbers: std::collections::BTreeSet<_> = all.iter().map(number).collect();
        assert!(numbers.into_iter().eq(0..=27), "a change is missing");
        all
    }

    fn apply(before: &Room, changes: Vec<Change>) -> (Arc<Update>, Room) {
        let mut after = before.clone();
        for change in &changes {
            after.apply(change, NOW + 1);
        }
        let update = Update { room: before.id.clone(), epoch: NOW, base: before.version, at: NOW + 1, changes };
        (Arc::new(update), after)
    }

    /// What stands in the row of a seat.
    fn row(member: &Member) -> impl PartialEq + std::fmt::Debug {
        (member.username.clone(), member.role, member.order, member.conn, member.token, member.origin)
    }

    /// The thread that writes events leaves out the CHECK, which is in force here.
    #[test]
    fn the_data_of_each_event_is_json_for_sqlite() {
        let (before, db) = (room(), sqlite::open_in_memory().unwrap());
        let mut recorder = sqlite::Recorder::new(&db).unwrap();
        for change in changes() {
            let (update, after) = apply(&before, vec![change]);
            let events = Entry::new(&update, &node(), &after).map_or_else(Vec::new, |entry| entry.events());
            for event in &events {
                recorder.record(event).unwrap();
            }
        }
    }

    #[test]
    fn what_an_entry_leaves_out_has_not_changed() {
        let before = room();
        for change in changes() {
            let (update, after) = apply(&before, vec![change]);
            let entry = Entry::new(&update, &node(), &after);
            let (was, is) = (RoomState::new(&before), RoomState::new(&after));
            if after.exists() {
                let told = entry.as_ref().and_then(|entry| entry.state.as_deref().cloned());
                let film = entry.as_ref().and_then(Entry::film).unwrap_or(was.film);
                assert_eq!(told.unwrap_or(RoomState { film, ..was }), is, "{update:?}");
            }
            let seats = entry.as_ref().map(Entry::seats).unwrap_or_default();
            for member in after.members.values() {
                let known = before.members.get(&member.user).is_some_and(|known| row(known) == row(member));
                let told = seats.iter().any(|seat| row(seat) == row(member));
                assert!(known || told, "{} in {update:?}", member.user);
            }
            let gone: Vec<_> = entry.iter().flat_map(Entry::departures).map(|(user, _)| user.clone()).collect();
            let left = before.members.keys().filter(|user| !after.members.contains_key(*user)).cloned();
            // Who was in a room that is closed, or made again, has left before.
            let is_emptied = matches!(update.changes[0], Change::Closed | Change::Created { .. });
            assert!(is_emptied || left.eq(gone), "{update:?}");
        }
    }

    #[test]
    fn only_what_alters_a_room_has_its_state() {
        let stated = |room: &Room, change: Change| {
            let (update, after) = apply(room, vec![change]);
            Entry::new(&update, &node(), &after).map(|entry| entry.state.is_some())
        };
        let playback = Playback { position: 0.0, playing: false, rate: 1.0 };
        let moved = || Change::Corrected { by: user("ana"), playback };
        assert_eq!(stated(&room(), moved()), Some(false));
        assert_eq!(stated(&room(), Change::Ready { user: user("ben") }), None);
        assert_eq!(stated(&room(), Change::HostChanged { host: user("ben") }), Some(true));
        assert_eq!(stated(&room().reincarnated(NOW + 1), moved()), Some(true), "the ledger may have another");
    }

    #[test]
    fn a_seat_counts_as_the_update_leaves_it() {
        let (ben, cem) = (user("ben"), member("cem", 3));
        let left = |user: &UserId| {
            let (user, conn, reason) = (user.clone(), ConnId::random(), LeftReason::Left);
            Change::Left { user, conn, reason, vacancy: None, empty_until: None }
        };
        let joined = || Change::Joined { member: cem.clone(), host: false };
        let named = Change::Renamed { user: cem.user.clone(), username: "Cem".into() };
        let seats = |changes| {
            let (update, after) = apply(&room(), changes);
            let entry = Entry::new(&update, &node(), &after).unwrap();
            let name = |seat: &&Member| (seat.user.clone(), seat.username.clone());
            entry.seats().iter().map(name).collect::<Vec<_>>()
        };
        assert_eq!(seats(vec![joined(), named]), [(cem.user.clone(), Some("Cem".into()))]);
        assert_eq!(seats(vec![joined(), left(&cem.user), left(&ben)]), []);
        assert_eq!(seats(vec![joined(), left(&cem.user), joined()]), [(cem.user.clone(), None)]);
    }

    #[test]
    fn the_payload_of_a_broadcast_is_left_to_the_room() {
        let broadcast = |data| Change::Broadcast { by: user("ana"), event: "chat".into(), data };
        let (update, after) = apply(&room(), vec![broadcast(None), broadcast(Some(payload()))]);
        let entry = Entry::new(&update, &node(), &after).unwrap();
        let text = serde_json::to_string(&entry).unwrap();
        assert!(!text.contains("[1,null]"), "{text}");
        assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), entry);
        let data: Vec<_> = entry.events().iter().map(|event| event.data.0.get().to_owned()).collect();
        assert_eq!(data, [r#"{"event":"chat","bytes":0}"#, r#"{"event":"chat","bytes":8}"#]);
        let (update, after) = apply(&room(), vec![broadcast(None)]);
        assert!(
            Arc::ptr_eq(&Entry::new(&update, &node(), &after).unwrap().update, &update),
            "it need not be encoded twice"
        );
    }
}
