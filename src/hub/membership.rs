use std::sync::Arc;

use super::{LocalRoom, Outbox};
use crate::{
    account::Account,
    id::{ConnId, UserId},
    protocol::Generation,
    replica::PendingJoin,
    room::StreamPosition,
};

/// The socket of a JOIN or RESUME.
#[derive(Debug, Clone)]
pub struct JoiningSocket {
    /// The id of the socket.
    pub conn: ConnId,
    /// Its outbox.
    pub outbox: Arc<Outbox>,
    /// Which clients it is one of.
    pub generation: Generation,
    /// The account of its client, if it is known.
    pub account: Option<Arc<Account>>,
    /// The features in force.
    pub features: &'static [&'static str],
    /// The resume token, in clear for its owner.
    pub token: Option<Box<str>>,
    /// For a RESUME: the last position that the client has seen.
    pub missed: Option<StreamPosition>,
}

impl From<JoiningSocket> for PendingJoin<Arc<Outbox>> {
    fn from(joining_socket: JoiningSocket) -> Self {
        let JoiningSocket { conn, outbox, generation, account: _, features, token, missed } = joining_socket;
        Self { conn, budget: outbox.budget(), handle: outbox, generation, features, token, missed }
    }
}

/// The seat of a socket.
#[derive(Debug, Clone)]
pub struct Membership {
    /// The room.
    pub room: Arc<LocalRoom>,
    /// The member.
    pub user: UserId,
    /// The id of the socket.
    pub conn: ConnId,
}

impl Membership {
    /// The number of members of the room.
    pub fn members(&self) -> usize {
        self.room.look(|replica| replica.room().members.len())
    }

    /// The version of the room on this node.
    pub fn version(&self) -> u64 {
        self.room.look(|replica| replica.room().version)
    }
}
