use std::collections::{BTreeMap, BTreeSet};

use tandem::{
    id::{ConnId, UserId},
    room::{Change, Digest, LeftReason, Member, Role, Room, Shown},
};

/// Who may come into a room, as it follows from its changes alone.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Door {
    pub(super) locked: bool,
    pub(super) pin: Option<Digest>,
    /// Who is banned, and with which address.
    pub(super) bans: BTreeMap<UserId, Option<Digest>>,
    /// Who was kicked, and from which address it came.
    kicked: Vec<(UserId, Digest)>,
    /// The members, and what proves a seat: a token, or nothing.
    seats: BTreeMap<UserId, (ConnId, bool)>,
    origins: BTreeMap<UserId, Digest>,
    host: Option<UserId>,
    co_hosts: BTreeSet<UserId>,
    /// The host that has left, and may come back.
    awaited: Option<UserId>,
    /// The sockets that were let in. One that was taken for dead gets its seat back without being asked.
    let_in: BTreeSet<ConnId>,
}

impl Door {
    /// Why a change ought not to have been. `shown` is the PIN that a socket showed, as far as it is known.
    pub(super) fn refuses(
        &self,
        change: &Change,
        shown: impl Fn(ConnId) -> Option<Option<Shown>>,
    ) -> Option<&'static str> {
        match change {
            Change::Joined { member, .. } => self.refuses_entry(member, shown),
            Change::Rejoined { member, .. } => {
                let (conn, has_token) = self.seats.get(&member.user)?;
                let is_proven = *conn == member.conn || *has_token;
                (!is_proven && self.is_wrong_pin(shown(member.conn))).then_some("took a seat again with a wrong PIN")
            }
            Change::PinSet { by, .. } => (self.host.as_ref() != Some(by)).then_some("set a PIN, and is not the host"),
            Change::Locked { by, .. } => (!self.leads(by)).then_some("locked or opened the room, and leads nobody"),
            Change::Unbanned { by, .. } => (!self.leads(by)).then_some("lifted a ban, and leads nobody"),
            Change::Banned { ban, .. } if self.host.as_ref() == Some(&ban.user) => Some("banned the host"),
            Change::Banned { by, .. } => (!self.leads(by)).then_some("banned somebody, and leads nobody"),
            _ => None,
        }
    }

    fn refuses_entry(&self, member: &Member, shown: impl Fn(ConnId) -> Option<Option<Shown>>) -> Option<&'static str> {
        let (user, origin) = (&member.user, member.origin);
        if self.bans.contains_key(user) || self.bans.values().any(|banned| *banned == Some(origin)) {
            return Some("came in, and is banned");
        }
        if self.kicked.contains(&(user.clone(), origin)) {
            return Some("came in from where it was kicked");
        }
        if self.let_in.contains(&member.conn) {
            return None;
        }
        if self.locked && !self.seats.is_empty() && self.awaited.as_ref() != Some(user) {
            return Some("came into a locked room");
        }
        self.is_wrong_pin(shown(member.conn)).then_some("came in with a wrong PIN")
    }

    fn is_wrong_pin(&self, shown: Option<Option<Shown>>) -> bool {
        // Whoever came in and did not learn of it cannot be judged.
        let (Some(pin), Some(shown)) = (self.pin, shown) else { return false };
        !shown.is_some_and(|shown| shown.fits(pin))
    }

    fn leads(&self, user: &UserId) -> bool {
        self.host.as_ref() == Some(user) || self.co_hosts.contains(user)
    }

    pub(super) fn apply(&mut self, change: &Change) {
        match change {
            Change::Created { pin, .. } => *self = Self { pin: *pin, ..Self::default() },
            Change::Joined { member, host } => {
                self.seat(member);
                if *host {
                    self.lead(&member.user);
                }
            }
            Change::Rejoined { member, host, .. } => {
                self.seat(member);
                if *host {
                    self.lead(&member.user);
                }
            }
            Change::Back { member, .. } => self.seat(member),
            Change::Left { user, reason, vacancy, .. } => {
                self.seats.remove(user);
                self.co_hosts.remove(user);
                let origin = self.origins.remove(user);
                if let (LeftReason::Removed { .. }, Some(origin)) = (reason, origin) {
                    self.kicked.push((user.clone(), origin));
                }
                if self.host.as_ref() == Some(user) {
                    self.host = None;
                    self.awaited = vacancy.as_ref().map(|vacancy| vacancy.user.clone());
                }
            }
            Change::HostChanged { host } => self.lead(host),
            Change::RoleChanged { user, role: Role::CoHost, .. } => drop(self.co_hosts.insert(user.clone())),
            Change::RoleChanged { user, .. } => drop(self.co_hosts.remove(user)),
            Change::Locked { locked, .. } => self.locked = *locked,
            Change::PinSet { pin, .. } => self.pin = *pin,
            Change::Banned { ban, .. } => drop(self.bans.insert(ban.user.clone(), ban.origin)),
            Change::Unbanned { user, .. } => {
                self.bans.remove(user);
                self.kicked.retain(|(kicked, _)| kicked != user);
            }
            Change::Closed => *self = Self::default(),
            _ => {}
        }
    }

    fn seat(&mut self, member: &Member) {
        self.seats.insert(member.user.clone(), (member.conn, member.token.is_some()));
        self.origins.insert(member.user.clone(), member.origin);
        self.let_in.insert(member.conn);
    }

    fn lead(&mut self, user: &UserId) {
        (self.host, self.awaited) = (Some(user.clone()), None);
    }

    /// How this differs from a room that the store has.
    pub(super) fn differs_from(&self, room: &Room) -> bool {
        let bans: BTreeMap<_, _> = room.bans.values().map(|ban| (ban.user.clone(), ban.origin)).collect();
        (self.locked, self.pin) != (room.locked, room.pin) || self.bans != bans
    }
}
