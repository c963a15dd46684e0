use std::sync::Arc;

use super::{Change, Member, PinGuard, Room};
use crate::{clock::Millis, id::UserId};

/// An odd number that spreads the bits of a [`Room::lineage_hash`] (the golden ratio, as in Fibonacci hashing).
const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
/// Up to this size a room keeps no spare places.
const SMALL: usize = 8;

impl Room {
    /// Applies one change that was decided at `at`, and increments the version. It is total: a change that does not fit, which no node
    /// decides, changes nothing else.
    pub fn apply(&mut self, change: &Change, at: Millis) {
        self.version += 1;
        let mark = self.lineage_hash;
        change.apply_to(self, at);
        if self.exists() {
            self.lineage_hash = (mark ^ at).rotate_left(17).wrapping_mul(MIX) ^ self.version;
        }
    }

    pub(super) fn member_mut(&mut self, user: &UserId) -> Option<&mut Member> {
        self.members.contains_key(user).then(|| Arc::make_mut(&mut self.members).get_mut(user)).flatten()
    }

    pub(super) fn seat(&mut self, member: &Member, host: bool) {
        if host {
            self.host = Some(member.user.clone());
            self.vacancy = None;
        }
        self.next_order = member.order.saturating_add(1);
        self.empty_until = None;
        let members = Arc::make_mut(&mut self.members);
        members.insert(member.user.clone(), member.clone());
        // Rooms are many and small, so no capacity is reserved.
        if members.len() <= SMALL {
            members.shrink_to_fit();
        }
    }

    pub(super) fn unseat(&mut self, user: &UserId) {
        Arc::make_mut(&mut self.members).shift_remove(user);
        self.uncount(user);
        if self.is_host(user) {
            self.host = None;
        }
    }

    pub(super) fn guard(&mut self) -> &mut PinGuard {
        Arc::make_mut(self.pin_guard.get_or_insert_default())
    }

    /// Removes a member from the gate.
    pub(super) fn uncount(&mut self, user: &UserId) {
        if let Some(gate) = &mut self.gate {
            gate.forget(user);
        }
    }

    pub(super) fn shut_out(&mut self, user: &UserId) {
        if self.kicked.len() >= Self::MAX_KICKED {
            self.kicked.remove(0);
        }
        self.kicked.push(user.clone());
    }
}
