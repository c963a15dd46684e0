use async_trait::async_trait;
use dashmap::{DashMap, mapref::entry::Entry};

use super::MemoryNode;
use crate::{
    backend::{BackendError, ShortCodes},
    clock::Millis,
    id::RoomId,
};

/// Maximum number of valid codes.
const MAX_CODES: usize = 200_000;

/// Short codes, each for one room until it expires.
#[derive(Debug, Default)]
pub(super) struct Codes {
    codes: DashMap<String, (RoomId, Millis)>,
}

impl Codes {
    pub(super) fn claim(&self, code: &str, room: &RoomId, until: Millis, now: Millis) -> bool {
        if self.codes.len() >= MAX_CODES && !self.codes.contains_key(code) {
            self.make_room(now);
        }
        match self.codes.entry(code.to_owned()) {
            Entry::Occupied(taken) if taken.get().0 != *room && taken.get().1 > now => false,
            entry => {
                entry.insert((room.clone(), until));
                true
            }
        }
    }

    /// Removes expired codes and, if that is not enough, the half that expires first. Anybody can have codes made, but codes in use are
    /// renewed.
    fn make_room(&self, now: Millis) {
        let mut ends: Vec<Millis> = self.codes.iter().map(|code| code.1).collect();
        let middle = ends.len() / 2;
        let (_, median, _) = ends.select_nth_unstable(middle);
        let end = now.max(*median);
        self.codes.retain(|_, (_, until)| *until > end);
    }

    pub(super) fn resolve(&self, code: &str, now: Millis) -> Option<RoomId> {
        self.codes.get(code).filter(|code| code.1 > now).map(|code| code.0.clone())
    }
}

#[async_trait]
impl ShortCodes for MemoryNode {
    async fn claim_code(&self, code: &str, room: &RoomId, until: Millis, now: Millis) -> Result<bool, BackendError> {
        Ok(self.shared.codes.claim(code, room, until, now))
    }

    async fn resolve_code(&self, code: &str, now: Millis) -> Result<Option<RoomId>, BackendError> {
        Ok(self.shared.codes.resolve(code, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_codes_leaves_those_that_are_used() {
        let codes = Codes::default();
        let room = |name: &str| RoomId::parse(name).unwrap();
        assert!(codes.claim("used", &room("used"), 1_000, 0));
        for number in 0..MAX_CODES as u64 + 10 {
            assert!(codes.claim(&format!("q{number}"), &room("q"), 1_000 + number / 100, 0));
            if number % 1_000 == 0 {
                assert!(codes.claim("used", &room("used"), 1_001 + number / 100, 0));
            }
        }
        assert_eq!(codes.resolve("used", 0), Some(room("used")));
        assert!(codes.codes.len() <= MAX_CODES);
    }
}
