use std::sync::{Arc, LazyLock};

use indexmap::IndexMap;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::{Digest, LeftReason, Member, Room, Shown};
use crate::{clock::Millis, id::UserId};

/// The bans of a room, oldest first.
pub type Bans = IndexMap<UserId, Ban>;

static NO_BANS: LazyLock<Arc<Bans>> = LazyLock::new(Arc::default);

/// What most rooms have, and share.
pub fn no_bans() -> Arc<Bans> {
    Arc::clone(&NO_BANS)
}

/// A user who may not come in until the ban is lifted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct Ban {
    #[n(0)]
    pub user: UserId,
    /// The name that it had.
    #[n(1)]
    pub username: Option<Box<str>>,
    /// Its address, unless another member has the same. It is all that tells who comes back under another id.
    #[n(2)]
    pub origin: Option<Digest>,
    #[n(3)]
    pub at: Millis,
}

/// A member that was kicked: its id is refused from the address that it had, while the owner of the id may come from another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct Removal {
    #[n(0)]
    pub user: UserId,
    #[n(1)]
    pub origin: Digest,
}

impl Room {
    /// How many bans a room has at most.
    pub const MAX_BANS: usize = 1_000;
    /// How many kicked members a room remembers.
    pub const MAX_REMOVED: usize = 64;

    /// Whether a ban is about this user, or about its address.
    pub(super) fn is_banned(&self, user: &UserId, origin: Shown) -> bool {
        self.bans.contains_key(user)
            || self.bans.values().any(|ban| ban.origin.is_some_and(|banned| origin.fits(banned)))
    }

    /// Whether this user was kicked, and comes from where it was.
    pub(super) fn was_removed(&self, user: &UserId, origin: Shown) -> bool {
        self.removed.iter().any(|removal| removal.user == *user && origin.fits(removal.origin))
    }

    /// The ban of a user: with its address if it was here, and nobody else who is here has the same.
    pub(super) fn ban_of(&self, user: &UserId, at: Millis) -> Ban {
        let seat = self.members.get(user);
        let kicked = || self.removed.iter().rev().find(|removal| removal.user == *user).map(|removal| removal.origin);
        let is_shared =
            |origin: &Digest| self.members.values().any(|other| other.user != *user && other.origin == *origin);
        Ban {
            user: user.clone(),
            username: seat.and_then(|seat: &Member| seat.username.clone()),
            origin: seat.map(|seat| seat.origin).or_else(kicked).filter(|origin| !is_shared(origin)),
            at,
        }
    }

    pub(super) fn ban(&mut self, ban: &Ban) {
        let bans = Arc::make_mut(&mut self.bans);
        bans.shift_remove(&ban.user);
        bans.insert(ban.user.clone(), ban.clone());
    }

    /// Forgets that the user was banned or kicked.
    pub(super) fn pardon(&mut self, user: &UserId) {
        Arc::make_mut(&mut self.bans).shift_remove(user);
        self.removed.retain(|removal| removal.user != *user);
        self.kicked.retain(|kicked| kicked != user);
    }

    /// Remembers a member that leaves: one that was kicked, or the address of another in a room with a PIN.
    pub(super) fn part(&mut self, user: &UserId, reason: &LeftReason, at: Millis) {
        let Some(origin) = self.members.get(user).map(|member| member.origin) else { return };
        match reason {
            LeftReason::Removed { .. } => {
                if self.removed.len() >= Self::MAX_REMOVED {
                    self.removed.remove(0);
                }
                self.removed.push(Removal { user: user.clone(), origin });
            }
            LeftReason::Left | LeftReason::Disconnected | LeftReason::Expired if self.pin.is_some() => {
                self.guard().part(origin, at);
            }
            _ => {}
        }
    }
}
