use dashmap::{DashMap, mapref::entry::Entry};

use crate::{backend::BackendError, clock::Millis, id::RoomId};

/// Codes that may be in force at once.
const MAX_CODES: usize = 200_000;

/// Short codes, each for one room until it expires.
#[derive(Debug, Default)]
pub(super) struct Codes {
    codes: DashMap<String, (RoomId, Millis)>,
}

impl Codes {
    pub(super) fn claim(&self, code: &str, room: &RoomId, until: Millis, now: Millis) -> Result<bool, BackendError> {
        if self.codes.len() >= MAX_CODES {
            self.codes.retain(|_, (_, until)| *until > now);
            if self.codes.len() >= MAX_CODES {
                return Err(BackendError::Full);
            }
        }
        match self.codes.entry(code.to_owned()) {
            Entry::Occupied(taken) if taken.get().0 != *room && taken.get().1 > now => Ok(false),
            entry => {
                entry.insert((room.clone(), until));
                Ok(true)
            }
        }
    }

    pub(super) fn resolve(&self, code: &str, now: Millis) -> Option<RoomId> {
        self.codes.get(code).filter(|code| code.1 > now).map(|code| code.0.clone())
    }
}
