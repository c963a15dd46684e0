use std::{num::NonZero, sync::Arc};

use indexmap::IndexMap;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::{
    Attempts, Bans, Digest, Gate, Member, Misses, PinGuard, Policy, Removal, Right, Role, Timeline, UnknownFields,
    no_bans,
};
use crate::{
    cbor,
    clock::Millis,
    id::{RoomId, UserId},
};

/// The members in the order in which they joined.
pub type Members = IndexMap<UserId, Member>;

/// The role of a host that left without being able to resume, kept until `until`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Encode, Decode)]
pub struct Vacancy {
    /// The former host.
    #[n(0)]
    pub user: UserId,
    /// The address it must come back from.
    #[n(1)]
    pub origin: Option<Digest>,
    /// When another host is elected.
    #[n(2)]
    pub until: Millis,
}

/// A room. Clones share the members until one of them changes. What few rooms have is on the heap: every node has all rooms of its members.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Encode, Decode)]
#[cbor(map)]
pub struct Room {
    /// The id of the room.
    #[n(0)]
    pub id: RoomId,
    /// The epoch: a room that was closed and created again has another one.
    #[n(1)]
    pub epoch: u64,
    /// The epoch in which the room was created, if it was restored since: see [`Room::born`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[n(2)]
    pub born: Option<NonZero<u64>>,
    /// The version, which grows by one with every change; 0 means that the room does not exist.
    #[n(3)]
    pub version: u64,
    /// The keyed hash of its PIN.
    #[n(4)]
    pub pin: Option<Digest>,
    /// The wrong PINs that were tried, as earlier releases count them.
    #[n(5)]
    pub misses: Option<Box<Misses>>,
    /// The budget of recorded refusals.
    #[n(6)]
    pub attempts: Option<Attempts>,
    /// A hash of the changes that led to this version: if two replicas of one version differ in it, their histories differ.
    #[serde(rename = "mark")]
    #[n(7)]
    pub lineage_hash: u64,
    /// The members, including those that are away.
    #[cbor(skip)]
    pub members: Arc<Members>,
    /// The order of the next member.
    #[n(8)]
    pub next_order: u64,
    /// The host, always a member.
    #[n(9)]
    pub host: Option<UserId>,
    /// The role of a host that left.
    #[n(10)]
    pub vacancy: Option<Vacancy>,
    /// Whether all members may control playback.
    #[n(11)]
    pub guest_control: bool,
    /// The url of the film.
    #[cbor(n(12), with = "cbor::shared_text::option", has_nil)]
    pub url: Option<Arc<str>>,
    /// The timeline of the film.
    #[n(13)]
    pub timeline: Timeline,
    /// The ready gate, while the room waits for members to load.
    #[n(14)]
    pub gate: Option<Box<Gate>>,
    /// When an empty room is closed.
    #[n(15)]
    pub empty_until: Option<Millis>,
    /// The users that earlier releases kicked, at most [`Room::MAX_KICKED`]: nobody may come in under these ids.
    #[n(16)]
    pub kicked: Vec<UserId>,
    /// The wrong PINs that were tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cbor(n(17), with = "cbor::shared", has_nil)]
    pub pin_guard: Option<Arc<PinGuard>>,
    /// Whether nobody new may come in.
    #[serde(default)]
    #[cbor(n(18), default, skip_if = "std::ops::Not::not")]
    pub locked: bool,
    /// The kicked members, newest last, at most [`Room::MAX_REMOVED`].
    #[serde(default)]
    #[cbor(n(19), skip_if = "Vec::is_empty")]
    pub removed: Vec<Removal>,
    /// The bans, which have records of their own; at most [`Room::MAX_BANS`].
    #[serde(default)]
    #[cbor(skip)]
    pub bans: Arc<Bans>,
    /// Fields of a later release.
    #[serde(skip)]
    #[cbor(skip)]
    pub unknown: UnknownFields,
}

impl Room {
    /// The number of its fields in records; its members have records of their own.
    pub const FIELDS: u64 = 20;
    /// How many kicked users a room remembers.
    pub const MAX_KICKED: usize = 64;

    /// A room that does not exist yet.
    pub fn vacant(id: RoomId) -> Self {
        Self {
            id,
            epoch: 0,
            born: None,
            version: 0,
            pin: None,
            misses: None,
            attempts: None,
            lineage_hash: 0,
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
            pin_guard: None,
            locked: false,
            removed: Vec::new(),
            bans: no_bans(),
            unknown: UnknownFields::default(),
        }
    }

    /// The epoch in which the room was created. It stays when the room is restored in a new epoch, and versions go on: so of two copies with the
    /// same value the one with the higher version is newer.
    pub fn born(&self) -> u64 {
        self.born.map_or(self.epoch, NonZero::get)
    }

    /// Whether the room exists.
    pub fn exists(&self) -> bool {
        self.version > 0
    }

    /// Whether any member can resume: only those with a token can.
    pub fn is_resumable(&self) -> bool {
        self.members.values().any(|member| member.token.is_some())
    }

    /// The user that is shown as host: the host, or the user whose role is being kept.
    pub fn shown_host(&self) -> Option<&UserId> {
        self.host.as_ref().or(self.vacancy.as_ref().map(|vacancy| &vacancy.user))
    }

    /// The url in a SYNC_RESPONSE for `user`. A host gets none, because it might be led back to the page that it is leaving.
    pub fn url_shown_to(&self, user: &UserId) -> Option<&str> {
        if self.is_host(user) { None } else { Some(self.url.as_deref().unwrap_or_default()) }
    }

    /// Whether `user` is the host.
    pub fn is_host(&self, user: &UserId) -> bool {
        self.host.as_ref() == Some(user)
    }

    /// Whether `user` is host or co-host, or holds a token that makes it a host.
    pub fn leads(&self, user: &UserId) -> bool {
        let by_role = |member: &Member| member.role == Role::CoHost || member.is_granted_host();
        self.is_host(user) || self.members.get(user).is_some_and(by_role)
    }

    /// Whether `user` leads, and may moderate.
    pub fn moderates(&self, user: &UserId) -> bool {
        self.leads(user) && self.allows(user, Right::Moderate)
    }

    /// Whether the role of `user` may control playback.
    pub fn may_control(&self, user: &UserId, policy: &Policy) -> bool {
        !policy.enforce_control || self.guest_control || self.leads(user)
    }

    /// Whether nothing that was granted to `user` forbids this.
    pub fn allows(&self, user: &UserId, right: Right) -> bool {
        self.members.get(user).is_none_or(|member| member.has(right))
    }

    /// The next host: the member present longest or, if none is present, the one away longest. Whoever is made host by a token comes first;
    /// whoever has another role by a token never is.
    pub(super) fn heir(&self, but: Option<&UserId>) -> Option<&UserId> {
        let others = || self.members.values().filter(|member| Some(&member.user) != but);
        let by_token = others().any(Member::is_granted_host);
        let may = |member: &&Member| member.is_granted_host() || (!by_token && member.granted_role().is_none());
        let first = others().find(may);
        others().filter(may).find(|member| member.present()).or(first).map(|member| &member.user)
    }
}
