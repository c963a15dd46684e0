use std::{future::Future, net::IpAddr, sync::Arc};

use super::{Door, Transport, admission::Place, client_session::ClientSession, connection};
use crate::{
    hub::Outbox,
    id::ConnId,
    telemetry::{Refused, Subject},
};

/// That the proxies tell no address is said again after so many seconds.
const STRANGERS_SECONDS: u64 = 30;

/// A client that was let in and has no connection yet.
#[derive(Debug)]
pub struct Admitted {
    door: Arc<Door>,
    address: Option<IpAddr>,
    conn: ConnId,
    subject: Arc<Subject>,
    place: Place,
}

impl Admitted {
    /// Lets a client in, if there is a place for it.
    pub fn new(
        door: &Arc<Door>,
        address: Option<IpAddr>,
        (conn, subject): (ConnId, Arc<Subject>),
    ) -> Result<Self, Refused> {
        let Some(place) = door.admission.enter() else {
            let why = match (door.admission.is_closed(), door.admission.is_paused()) {
                (true, _) => Refused::Draining,
                (_, true) => Refused::Unavailable,
                _ => Refused::Full,
            };
            door.refuse(why, address);
            return Err(why);
        };
        if address.is_none()
            && let Some(skipped) = door.strangers.pass(door.clock.now() / STRANGERS_SECONDS)
        {
            tracing::warn!(
                skipped,
                "X-Forwarded-For tells no address of a client: do as many proxies append to it as TRUST_PROXY_HOPS says?"
            );
        }
        Ok(Self { door: Arc::clone(door), address, conn, subject, place })
    }

    /// Serves the client until its connection ends. Not an `async fn`: those keep their arguments twice.
    pub fn serve<T: Transport>(self, transport: T) -> impl Future<Output = ()> + Send + use<T> {
        let Self { door, address, conn, subject, place } = self;
        let open = door.registry.open(conn, Outbox::new(door.outbox_bytes), place);
        let origin = address.map_or_else(|| door.keys.stranger(conn).into(), |address| door.keys.origin(address));
        let session = ClientSession::new(door, Arc::clone(&open.outbox), origin, Arc::clone(&subject));
        subject.scope(connection::run(transport, session, open))
    }
}
