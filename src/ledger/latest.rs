use std::{collections::BTreeMap, sync::Arc};

use super::{Entry, Film, RoomRow, RoomState};
use crate::{clock::Millis, id::RoomId};

/// The newest that the entries of a batch say of a room. Its film and its state have versions of their own, because an entry may tell one of
/// them, or neither.
pub(super) struct Latest<'a> {
    room: &'a RoomId,
    epoch: u64,
    version: u64,
    at: Millis,
    /// The time of its first entry.
    pub(super) first: Millis,
    pub(super) closed: bool,
    film: Option<(u64, Film)>,
    state: Option<(u64, &'a RoomState)>,
}

/// Combines entries, sorted by the ids of rooms.
pub(super) fn latest<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> BTreeMap<&'a str, Latest<'a>> {
    let mut rooms = BTreeMap::new();
    for entry in entries {
        let news = Latest::of(entry);
        rooms.entry(entry.update.room.as_str()).and_modify(|known: &mut Latest<'a>| known.add(&news)).or_insert(news);
    }
    rooms
}

impl<'a> Latest<'a> {
    pub(super) fn of(entry: &'a Entry) -> Self {
        let (version, at) = (entry.version(), entry.update.at);
        Self {
            room: &entry.update.room,
            epoch: entry.update.epoch,
            version,
            at,
            first: at,
            closed: entry.closes(),
            film: entry.film().map(|film| (version, film)),
            state: entry.state.as_deref().map(|state| (version, state)),
        }
    }

    fn add(&mut self, news: &Self) {
        let first = self.first.min(news.first);
        if news.epoch > self.epoch {
            *self = Self { ..*news };
        } else if news.epoch == self.epoch {
            if news.version > self.version {
                (self.version, self.at, self.closed) = (news.version, news.at, news.closed);
            }
            if of(news.film.as_ref()) > of(self.film.as_ref()) {
                self.film = news.film;
            }
            if of(news.state.as_ref()) > of(self.state.as_ref()) {
                self.state = news.state;
            }
        }
        self.first = first;
    }

    /// The version of its film, which is 0 if no entry tells it.
    pub(super) fn film_version(&self) -> u64 {
        of(self.film.as_ref())
    }

    /// The version of its state, which is 0 if no entry tells it.
    pub(super) fn state_version(&self) -> u64 {
        of(self.state.as_ref())
    }

    /// The row. What no entry tells has the value that it has in a new room.
    pub(super) fn row(&self) -> RoomRow {
        let Self { room, epoch, version, at, first: _, closed, film, state } = self;
        let new = Film { position: 0.0, playing: false, rate: 1.0, at: *at };
        let Film { position, playing, rate, at: position_at } = film.map_or(new, |(_, film)| film);
        let state = state.map(|(_, state)| state);
        RoomRow {
            id: (*room).clone(),
            epoch: *epoch,
            version: *version,
            host: state.and_then(|state| state.host.clone()),
            host_origin: state.and_then(|state| state.host_origin),
            url: state.and_then(|state| state.url.clone()),
            position,
            playing,
            rate,
            position_at,
            guest_control: state.is_some_and(|state| state.guest_control),
            pin: state.and_then(|state| state.pin),
            empty_until: state.and_then(|state| state.empty_until),
            locked: state.is_some_and(|state| state.locked),
            bans: Arc::default(),
            archived: *closed,
            at: *at,
        }
    }
}

fn of<T>(told: Option<&(u64, T)>) -> u64 {
    told.map_or(0, |(version, _)| *version)
}

impl Entry {
    /// The row of its room. What the entry does not tell has the value that it has in a new room.
    pub fn row(&self) -> RoomRow {
        Latest::of(self).row()
    }
}
