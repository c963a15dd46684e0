use std::{future::Future, net::IpAddr, sync::Arc, time::Duration};

use super::{Gateway, Transport, admission::Place, client_session::ClientSession, connection, opening::Opening};
use crate::{
    account::{Exceeded, Hold},
    config::Resource,
    hub::Outbox,
    id::ConnId,
    telemetry::{Refused, Subject},
};

/// What a handshake costs.
const CONNECT: Duration = Duration::from_micros(100);
/// Interval, in seconds, of the log line that proxies supply no address.
const STRANGERS_SECONDS: u64 = 30;

/// A client that was admitted and has no connection yet.
#[derive(Debug)]
pub struct Admitted {
    gateway: Arc<Gateway>,
    address: Option<IpAddr>,
    conn: ConnId,
    subject: Arc<Subject>,
    place: (Place, Option<Hold>),
    opening: Opening,
}

impl Admitted {
    /// Admits a client, if there is a place for it.
    pub fn new(
        gateway: &Arc<Gateway>,
        address: Option<IpAddr>,
        (conn, subject): (ConnId, Arc<Subject>),
    ) -> Result<Self, Refused> {
        let place = place(gateway, address).inspect_err(|why| gateway.refuse(*why, address))?;
        if address.is_none()
            && let Some(skipped) = gateway.strangers.pass(gateway.clock.now() / STRANGERS_SECONDS)
        {
            tracing::warn!(
                skipped,
                "X-Forwarded-For tells no address of a client: do as many proxies append to it as TRUST_PROXY_HOPS says?"
            );
        }
        Ok(Self { gateway: Arc::clone(gateway), address, conn, subject, place, opening: Opening::default() })
    }

    /// Begins with what the client said as it opened its socket.
    #[must_use]
    pub(super) fn with(self, opening: Opening) -> Self {
        Self { opening, ..self }
    }

    /// Serves the client until its connection ends. Not an `async fn`: those keep their arguments twice.
    pub fn serve<T: Transport>(self, transport: T) -> impl Future<Output = ()> + Send + use<T> {
        let Self { gateway, address, conn, subject, place, opening } = self;
        let account = place.1.as_ref().map(|hold| Arc::clone(hold.account()));
        let open = gateway.registry.open(conn, Outbox::new(gateway.limits.outbox_bytes()), place);
        let origin = address.map_or_else(|| gateway.keys.stranger(conn).into(), |address| gateway.keys.origin(address));
        let session =
            ClientSession::new(gateway, Arc::clone(&open.outbox), (origin, account), Arc::clone(&subject), opening);
        subject.scope(connection::run(transport, session, open))
    }
}

/// A place on this node, and in the account of the client.
fn place(gateway: &Gateway, address: Option<IpAddr>) -> Result<(Place, Option<Hold>), Refused> {
    let admission = &gateway.admission;
    let Some(place) = admission.enter() else {
        return Err(match () {
            () if admission.is_closed() => Refused::Draining,
            () if admission.is_paused() => Refused::Unavailable,
            () if admission.is_overloaded() => Refused::Overloaded,
            () => Refused::Full,
        });
    };
    if gateway.hub.is_crowded() {
        return Err(Refused::Crowded);
    }
    // Clients whose address nobody tells have no account: they are not one.
    let Some(address) = address else { return Ok((place, None)) };
    let now = gateway.clock.now();
    let account = gateway.accounts.of(address, now);
    if account.spend_cpu(CONNECT, || now) > 0 {
        return Err(Refused::AddressShare);
    }
    account.spend(Resource::Connects, 1, now).map_err(|_| Refused::AddressCap)?;
    let hold = account.hold(Resource::Sockets).map_err(|exceeded| match exceeded {
        Exceeded::Share(_) => Refused::AddressShare,
        Exceeded::Cap(_) => Refused::AddressCap,
    })?;
    Ok((place, Some(hold)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{hub::LocalRoom, room::Member, socket::handshake::Socket};

    /// What tokio keeps beside the future, in the same allocation: the head of a task, its core and its end, and the tracker's token.
    const TASK: usize = 32 + 24 + 48 + 8;

    fn size_of_output<A, B, R>(_: impl FnOnce(A, B) -> R) -> usize {
        size_of::<R>()
    }

    #[test]
    fn the_task_of_a_socket_fits_into_a_kilobyte() {
        // One byte more costs each idle socket 256: tasks are aligned to 128, and allocators round up.
        let future = size_of_output(Admitted::serve::<Socket>);
        assert!(future + TASK <= 1024, "{future}");
    }

    #[test]
    fn rooms_and_members_fit_into_what_allocators_give() {
        // Four members, each with its key and hash in a table; and the counters of an `Arc`. What is larger takes 896 and 768 bytes.
        let (members, room) = (4 * (size_of::<Member>() + 24), size_of::<LocalRoom>() + 16);
        assert!(members <= 768 && room <= 640, "{members}, {room}");
    }
}
