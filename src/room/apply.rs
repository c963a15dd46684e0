use std::sync::Arc;

use super::{Change, LeftReason, Member, Presence, Room, Timeline};
use crate::{clock::Millis, id::UserId};

/// An odd number that spreads the bits of a [`Room::mark`] (the golden ratio, as in Fibonacci hashing).
const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
/// Up to this size a room keeps no spare places.
const SMALL: usize = 8;

impl Room {
    /// Carries out one change that was decided at `at`, and grows the version by one. Total: a change that does not fit (which no
    /// node decides) changes nothing else.
    pub fn apply(&mut self, change: &Change, at: Millis) {
        self.version += 1;
        let mark = self.mark;
        self.carry_out(change, at);
        if self.exists() {
            self.mark = (mark ^ at).rotate_left(17).wrapping_mul(MIX) ^ self.version;
        }
    }

    fn carry_out(&mut self, change: &Change, at: Millis) {
        match change {
            Change::Created { epoch, pin, by: _ } => {
                *self = Self { epoch: *epoch, version: self.version, pin: *pin, ..Self::vacant(self.id.clone()) };
                self.timeline = Timeline::start(at);
            }
            Change::Joined { member, host } => self.seat(member, *host),
            Change::Rejoined { member, host: _, was_away: _ } | Change::Back { member, was_away: _ } => {
                if let Some(seat) = self.member_mut(&member.user) {
                    seat.clone_from(member);
                }
            }
            Change::Away { user, since, until } => {
                if let Some(member) = self.member_mut(user) {
                    member.presence = Presence::Away { since: *since, until: *until };
                    member.watching = false;
                }
                self.uncount(user);
            }
            Change::Left { user, reason, vacancy, empty_until, conn: _ } => {
                Arc::make_mut(&mut self.members).shift_remove(user);
                self.uncount(user);
                if self.is_host(user) {
                    self.host = None;
                }
                if vacancy.is_some() {
                    self.vacancy.clone_from(vacancy);
                }
                self.empty_until = *empty_until;
                if let LeftReason::Kicked { .. } = reason {
                    self.ban(user);
                }
            }
            Change::HostChanged { host } => {
                self.host = Some(host.clone());
                self.vacancy = None;
            }
            Change::RoleChanged { user, role, by: _ } => {
                if let Some(member) = self.member_mut(user) {
                    member.role = *role;
                }
            }
            Change::GuestControl { enabled, by: _ } => self.guest_control = *enabled,
            Change::Renamed { user, username } => {
                if let Some(member) = self.member_mut(user) {
                    member.username = Some(username.clone());
                }
            }
            Change::PlayPause { timeline, .. } => {
                self.timeline = timeline.clone();
                self.gate = None;
            }
            Change::Sought { timeline, gate, .. } => {
                self.timeline = timeline.clone();
                self.gate.clone_from(gate);
            }
            Change::Ready { user } => {
                if let Some(gate) = &mut self.gate {
                    gate.forget(user);
                    gate.ready += 1;
                }
            }
            Change::Released { .. } => self.gate = None,
            Change::Heartbeat { timeline, .. } | Change::Corrected { timeline } => self.timeline = timeline.clone(),
            Change::Watching { user, watching } => {
                if let Some(member) = self.member_mut(user) {
                    member.watching = *watching;
                }
                if !watching {
                    self.uncount(user);
                }
            }
            Change::UrlChanged { url, timeline, .. } => {
                self.url = Some(url.clone());
                self.timeline = timeline.clone();
                self.gate = None;
            }
            Change::PinMissed { misses } => self.misses = Some(*misses),
            Change::Refused { attempts, attempt: _ } => self.attempts = Some(*attempts),
            Change::Broadcast { .. } => {}
            Change::Closed => *self = Self::vacant(self.id.clone()),
        }
    }

    fn member_mut(&mut self, user: &UserId) -> Option<&mut Member> {
        self.members.contains_key(user).then(|| Arc::make_mut(&mut self.members).get_mut(user)).flatten()
    }

    fn seat(&mut self, member: &Member, host: bool) {
        if host {
            self.host = Some(member.user.clone());
            self.vacancy = None;
        }
        self.next_order = member.order + 1;
        self.empty_until = None;
        let members = Arc::make_mut(&mut self.members);
        members.insert(member.user.clone(), member.clone());
        // Most rooms are small, and there are many: no room for members that never come.
        if members.len() <= SMALL {
            members.shrink_to_fit();
        }
    }

    fn uncount(&mut self, user: &UserId) {
        if let Some(gate) = &mut self.gate {
            gate.forget(user);
        }
    }

    fn ban(&mut self, user: &UserId) {
        if self.kicked.len() >= Self::MAX_KICKED {
            self.kicked.remove(0);
        }
        self.kicked.push(user.clone());
    }
}
