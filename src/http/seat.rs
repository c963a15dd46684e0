use std::sync::Arc;

use super::{
    Peer,
    caller::ConnectionAccounts,
    connection_limit::{ConnectionLimit, ConnectionSlot},
    pulse::Pulse,
};
use crate::account::{Exceeded, Hold};

/// The place of a connection among those that are not WebSockets, on the node and in the account of its client. A connection of HTTP/2 has
/// none while there are sockets on it: those count themselves, as over HTTP/1.1.
#[derive(Debug)]
pub(super) struct Seat {
    taken: Option<(ConnectionSlot, Option<Hold>)>,
    limit: Arc<ConnectionLimit>,
    accounts: Option<Arc<ConnectionAccounts>>,
    peer: Peer,
}

impl Seat {
    pub(super) fn new(
        taken: (ConnectionSlot, Option<Hold>),
        limit: Arc<ConnectionLimit>,
        accounts: Option<Arc<ConnectionAccounts>>,
        peer: Peer,
    ) -> Self {
        Self { taken: Some(taken), limit, accounts, peer }
    }

    /// Gives the place up, or takes one again, as there are sockets or not.
    pub(super) fn tend(&mut self, pulse: &Arc<Pulse>) -> Result<(), Exceeded> {
        match (pulse.has_sockets(), self.taken.is_some()) {
            (true, true) => self.taken = None,
            (false, false) => {
                let hold = self.accounts.as_ref().map(|accounts| accounts.hold(self.peer)).transpose()?.flatten();
                self.taken = Some((self.limit.enter(Arc::clone(pulse)).0, hold));
            }
            _ => {}
        }
        Ok(())
    }
}
