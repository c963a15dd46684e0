use std::collections::HashMap;

use minicbor::{Decode, Encode};

use super::{Identity, Invitation};
use crate::{
    clock::Millis,
    id::{RoomId, UserId},
};

/// Tokens that are no longer accepted.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Revocation {
    /// Which ones.
    #[n(0)]
    pub target: Target,
    /// Of a user or of a room: those that were issued before this. A token that does not say when it was issued is one of them.
    #[n(1)]
    pub issued_before: Millis,
    /// Until when it is remembered. By then each of the tokens has expired.
    #[n(2)]
    pub until: Millis,
}

/// Which tokens are revoked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(flat)]
pub enum Target {
    /// That with this `jti`.
    #[n(0)]
    Token(#[n(0)] Box<str>),
    /// All of this person, or of one device of theirs (`sub#device`).
    #[n(1)]
    User(#[n(0)] UserId),
    /// All, in this room.
    #[n(2)]
    Room(#[n(0)] RoomId),
}

/// There are too many revocations for one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are {} revocations already, which is the most", Revocations::MOST)]
pub struct RevocationsFull;

/// What was revoked and has not been forgotten.
#[derive(Debug, Clone, Default)]
pub struct Revocations {
    tokens: HashMap<Box<str>, Millis>,
    users: HashMap<UserId, Cut>,
    rooms: HashMap<RoomId, Cut>,
}

#[derive(Debug, Clone, Copy)]
struct Cut {
    issued_before: Millis,
    until: Millis,
}

impl Cut {
    fn hits(self, identity: &Identity, now: Millis) -> bool {
        now < self.until && identity.issued_at.is_none_or(|issued_at| issued_at < self.issued_before)
    }

    /// What either forbids is forbidden, for as long as either says.
    fn and(self, other: Self) -> Self {
        Self { issued_before: self.issued_before.max(other.issued_before), until: self.until.max(other.until) }
    }
}

impl Revocation {
    /// Whether it is about a token. One of a room is about the token in that room alone.
    pub fn hits(&self, identity: &Identity, room: Option<&RoomId>) -> bool {
        let before = identity.issued_at.is_none_or(|issued_at| issued_at < self.issued_before);
        match &self.target {
            Target::Token(jti) => identity.jti.as_ref() == Some(jti),
            Target::User(user) => before && (*user == identity.user || *user == identity.subject),
            Target::Room(revoked) => before && room == Some(revoked),
        }
    }
}

impl Revocations {
    /// The maximum number that is remembered.
    pub const MOST: usize = 100_000;

    /// The number that is remembered.
    pub fn len(&self) -> usize {
        self.tokens.len() + self.users.len() + self.rooms.len()
    }

    /// Whether nothing is revoked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds one. One that is over is not added. None is forgotten early to make place: that would let a revoked token in.
    pub fn add(&mut self, revocation: Revocation, now: Millis) -> Result<(), RevocationsFull> {
        let Revocation { target, issued_before, until } = revocation;
        if until <= now {
            return Ok(());
        }
        let is_known = match &target {
            Target::Token(jti) => self.tokens.contains_key(jti),
            Target::User(user) => self.users.contains_key(user),
            Target::Room(room) => self.rooms.contains_key(room),
        };
        if !is_known && self.len() >= Self::MOST {
            self.forget(now);
            if self.len() >= Self::MOST {
                return Err(RevocationsFull);
            }
        }
        let cut = Cut { issued_before, until };
        match target {
            Target::Token(jti) => {
                let known = self.tokens.entry(jti).or_insert(until);
                *known = until.max(*known);
            }
            Target::User(user) => {
                self.users.entry(user).and_modify(|known| *known = known.and(cut)).or_insert(cut);
            }
            Target::Room(room) => {
                self.rooms.entry(room).and_modify(|known| *known = known.and(cut)).or_insert(cut);
            }
        }
        Ok(())
    }

    /// Forgets what is over.
    pub fn forget(&mut self, now: Millis) {
        self.tokens.retain(|_, until| now < *until);
        self.users.retain(|_, cut| now < cut.until);
        self.rooms.retain(|_, cut| now < cut.until);
    }

    /// Whether the token, or all of its user, is revoked.
    pub fn revoke(&self, identity: &Identity, now: Millis) -> bool {
        let token = identity.jti.as_ref().and_then(|jti| self.tokens.get(jti));
        token.is_some_and(|until| now < *until)
            || [&identity.user, &identity.subject]
                .into_iter()
                .filter_map(|user| self.users.get(user))
                .any(|cut| cut.hits(identity, now))
    }

    /// Whether the token is revoked in this room.
    pub fn revoke_in(&self, room: &RoomId, identity: &Identity, now: Millis) -> bool {
        self.rooms.get(room).is_some_and(|cut| cut.hits(identity, now))
    }

    /// Whether an invitation is revoked, or all that were issued for its room.
    pub fn revoke_invitation(&self, invitation: &Invitation, now: Millis) -> bool {
        self.tokens.get(&invitation.id).is_some_and(|until| now < *until)
            || self
                .rooms
                .get(&invitation.room)
                .is_some_and(|cut| now < cut.until && invitation.issued_at < cut.issued_before)
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = Revocation> {
        let cut =
            |(target, cut): (Target, &Cut)| Revocation { target, issued_before: cut.issued_before, until: cut.until };
        let tokens = self.tokens.iter().map(|(jti, until)| Revocation {
            target: Target::Token(jti.clone()),
            issued_before: 0,
            until: *until,
        });
        let users = self.users.iter().map(move |(user, of)| cut((Target::User(user.clone()), of)));
        let rooms = self.rooms.iter().map(move |(room, of)| cut((Target::Room(room.clone()), of)));
        tokens.chain(users).chain(rooms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{Rights, Rooms, TokenId};

    fn user(id: &str) -> UserId {
        UserId::parse(id).unwrap()
    }

    fn room(id: &str) -> RoomId {
        RoomId::parse(id).unwrap()
    }

    fn identity(subject: &str, device: Option<&str>, jti: Option<&str>, issued_at: Option<Millis>) -> Identity {
        let id = device.map_or_else(|| subject.to_owned(), |device| format!("{subject}#{device}"));
        Identity {
            user: user(&id),
            subject: user(subject),
            rooms: Rooms::Every,
            role: None,
            rights: Rights::ALL,
            name: None,
            metadata: None,
            expires_at: 9_000,
            issued_at,
            jti: jti.map(Box::from),
            id: TokenId([0; 16]),
        }
    }

    fn of(target: Target, issued_before: Millis, until: Millis) -> Revocation {
        Revocation { target, issued_before, until }
    }

    #[test]
    fn each_kind_hits_what_it_says() {
        let ana = |jti, issued_at| identity("ana", Some("phone"), jti, issued_at);
        for (revocation, hit, spared) in [
            (
                of(Target::Token("t".into()), 0, 2_000),
                vec![ana(Some("t"), None), ana(Some("t"), Some(5_000))],
                vec![ana(None, None), ana(Some("T"), None), ana(Some(""), None)],
            ),
            (
                of(Target::User(user("ana")), 500, 2_000),
                vec![ana(None, Some(499)), ana(None, None), identity("ana", None, None, Some(0))],
                vec![ana(None, Some(500)), identity("ben", None, None, Some(0))],
            ),
            (
                of(Target::User(user("ana#phone")), 500, 2_000),
                vec![ana(None, Some(499))],
                vec![identity("ana", Some("laptop"), None, Some(499)), identity("ana", None, None, None)],
            ),
        ] {
            let mut all = Revocations::default();
            all.add(revocation.clone(), 1_000).unwrap();
            for identity in &hit {
                assert!(all.revoke(identity, 1_999) && revocation.hits(identity, None), "{revocation:?} {identity:?}");
                assert!(!all.revoke(identity, 2_000), "it is over");
            }
            for identity in &spared {
                assert!(
                    !all.revoke(identity, 1_999) && !revocation.hits(identity, None),
                    "{revocation:?} {identity:?}"
                );
            }
        }
    }

    #[test]
    fn of_a_room_it_is_about_that_room() {
        let mut all = Revocations::default();
        let revocation = of(Target::Room(room("film")), 500, 2_000);
        all.add(revocation.clone(), 0).unwrap();
        let old = identity("ana", None, None, Some(100));
        assert!(!all.revoke(&old, 1_000));
        assert!(all.revoke_in(&room("film"), &old, 1_000) && !all.revoke_in(&room("other"), &old, 1_000));
        assert!(!all.revoke_in(&room("film"), &identity("ana", None, None, Some(500)), 1_000));
        assert!(revocation.hits(&old, Some(&room("film"))) && !revocation.hits(&old, None));
    }

    #[test]
    fn a_second_one_takes_nothing_back() {
        let mut all = Revocations::default();
        all.add(of(Target::User(user("ana")), 500, 2_000), 0).unwrap();
        all.add(of(Target::User(user("ana")), 100, 1_000), 0).unwrap();
        all.add(of(Target::Token("t".into()), 0, 2_000), 0).unwrap();
        all.add(of(Target::Token("t".into()), 0, 1_000), 0).unwrap();
        assert!(all.revoke(&identity("ana", None, None, Some(400)), 1_500));
        assert!(all.revoke(&identity("ben", None, Some("t"), None), 1_500));
        assert_eq!(all.len(), 2);
    }

    #[test]
    fn there_are_only_so_many_and_none_is_lost_for_another() {
        let mut all = Revocations::default();
        for number in 0..Revocations::MOST {
            let until = if number < 10 { 100 } else { 1_000 };
            all.add(of(Target::Token(number.to_string().into()), 0, until), 0).unwrap();
        }
        let one_more = || of(Target::User(user("ana")), 1, 1_000);
        assert_eq!(all.add(one_more(), 99), Err(RevocationsFull));
        assert_eq!(all.add(of(Target::Token("5".into()), 0, 100), 99), Ok(()), "it is known already");
        assert_eq!(all.add(one_more(), 100), Ok(()), "ten are over");
        assert_eq!(all.len(), Revocations::MOST - 9);
        all.forget(1_000);
        assert!(all.is_empty());
        all.add(of(Target::Token("old".into()), 0, 1_000), 1_000).unwrap();
        assert!(all.is_empty(), "it is over before it begins");
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        for target in [Target::Token("t".into()), Target::User(user("ana#x")), Target::Room(room("film"))] {
            let revocation = of(target, 5, 7);
            let record = minicbor::to_vec(&revocation).unwrap();
            assert_eq!(minicbor::decode::<Revocation>(&record).unwrap(), revocation);
            let mut all = Revocations::default();
            all.add(revocation.clone(), 0).unwrap();
            let issued_before = if matches!(revocation.target, Target::Token(_)) { 0 } else { 5 };
            assert_eq!(all.iter().collect::<Vec<_>>(), [Revocation { issued_before, ..revocation }]);
        }
        minicbor::decode::<Revocation>(&[0xa1, 0x00, 0x60]).unwrap_err();
    }
}
