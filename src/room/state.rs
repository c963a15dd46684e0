use std::sync::Arc;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::{Attempts, Digest, Gate, Member, Misses, Policy, Role, Timeline, UnknownFields};
use crate::{
    clock::Millis,
    id::{RoomId, UserId},
};

/// Members in the order in which they came.
pub type Members = IndexMap<UserId, Member>;

/// The seat of a host that dropped without the means to resume: kept for it until `until`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Vacancy {
    /// Whose it is.
    pub user: UserId,
    /// The address it must come back from.
    pub origin: Option<Digest>,
    /// When somebody else is elected.
    pub until: Millis,
}

/// A room. Cheap to clone: members are shared until one copy changes them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Room {
    /// Its name.
    pub id: RoomId,
    /// When this incarnation was made: a room that was closed and made again has another one.
    pub epoch: u64,
    /// Grows by one with every change; 0 means that there is no such room.
    pub version: u64,
    /// The keyed hash of its PIN.
    pub pin: Option<Digest>,
    /// The wrong PINs that were tried.
    pub misses: Option<Misses>,
    /// The refused attempts that were taken down.
    pub attempts: Option<Attempts>,
    /// A fingerprint of how it came to its version: two copies of one version that differ in it have lived through different things.
    pub mark: u64,
    /// Who is in it, those away included.
    pub members: Arc<Members>,
    /// The order of the next member.
    pub next_order: u64,
    /// The host, always a member.
    pub host: Option<UserId>,
    /// The role of a host that dropped.
    pub vacancy: Option<Vacancy>,
    /// Whether everybody may move the film.
    pub guest_control: bool,
    /// What is being watched.
    pub url: Option<Arc<str>>,
    /// Where the film is.
    pub timeline: Timeline,
    /// Whether the room waits for members to load.
    pub gate: Option<Gate>,
    /// When an empty room is closed.
    pub empty_until: Option<Millis>,
    /// Who may not come back, newest last, [`Room::MAX_KICKED`] at most.
    pub kicked: Vec<UserId>,
    /// What a later release has added.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

impl Room {
    /// How many kicked users a room remembers.
    pub const MAX_KICKED: usize = 64;

    /// The room that does not exist yet.
    pub fn vacant(id: RoomId) -> Self {
        Self {
            id,
            epoch: 0,
            version: 0,
            pin: None,
            misses: None,
            attempts: None,
            mark: 0,
            members: Arc::default(),
            next_order: 0,
            host: None,
            vacancy: None,
            guest_control: false,
            url: None,
            timeline: Timeline::start(0),
            gate: None,
            empty_until: None,
            kicked: Vec::new(),
            unknown: UnknownFields::default(),
        }
    }

    /// Whether there is such a room.
    pub fn exists(&self) -> bool {
        self.version > 0
    }

    /// Whether anybody can ask for what it missed: only members with a token can.
    pub fn is_resumable(&self) -> bool {
        self.members.values().any(|member| member.token.is_some())
    }

    /// Who is shown as host: the host, or the one whose role is being kept.
    pub fn shown_host(&self) -> Option<&UserId> {
        self.host.as_ref().or(self.vacancy.as_ref().map(|vacancy| &vacancy.user))
    }

    /// The url that `user` is told when it asks where the film is. A host that is told one may be led back to the page that it is just
    /// leaving.
    pub fn url_shown_to(&self, user: &UserId) -> Option<&str> {
        if self.is_host(user) { None } else { Some(self.url.as_deref().unwrap_or_default()) }
    }

    /// Whether `user` is the host.
    pub fn is_host(&self, user: &UserId) -> bool {
        self.host.as_ref() == Some(user)
    }

    /// Whether `user` is host or co-host.
    pub fn leads(&self, user: &UserId) -> bool {
        self.is_host(user) || self.members.get(user).is_some_and(|member| member.role == Role::CoHost)
    }

    /// Whether `user` may move the film.
    pub fn may_control(&self, user: &UserId, policy: &Policy) -> bool {
        !policy.enforce_control || self.guest_control || self.leads(user)
    }

    /// Who becomes host when the host goes: the one present longest, or, if none is present, the one away longest.
    pub(super) fn heir(&self, but: Option<&UserId>) -> Option<&UserId> {
        let mut others = self.members.values().filter(|member| Some(&member.user) != but);
        let first = others.clone().next();
        others.find(|member| member.present()).or(first).map(|member| &member.user)
    }
}
