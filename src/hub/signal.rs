use std::sync::atomic::{AtomicU64, Ordering};

use super::{Hub, HubError, Membership};
use crate::{
    backend::Delivery,
    id::UserId,
    protocol::{DirectMessage, Frame, ServerFrame, Signal, SignalFrame, encode},
    replica::Route,
    room::{Refusal, Right},
    telemetry::Dropped,
};

/// Ids of signals, so that receivers recognize a repeated one: a random part for this start of the node, and a number.
#[derive(Debug)]
pub(super) struct SignalIds {
    /// Ends with a dash.
    start: Box<str>,
    next: AtomicU64,
}

/// The hexadecimal digits of a number.
const LONGEST_NUMBER: usize = 16;

impl SignalIds {
    pub(super) fn random() -> Self {
        Self { start: format!("{:08x}-", rand::random::<u32>()).into(), next: AtomicU64::new(1) }
    }

    fn fresh(&self) -> String {
        let mut id = String::with_capacity(self.start.len() + LONGEST_NUMBER);
        id.push_str(&self.start);
        // Written without the machinery of `format!`, which takes an eighth of the time of a signal.
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let digits = (u64::BITS - number.leading_zeros()).div_ceil(4).max(1);
        id.extend(
            (0..digits)
                .rev()
                .filter_map(|digit| char::from_digit(u32::try_from(number >> (4 * digit) & 0xf).unwrap_or(0), 16)),
        );
        id
    }
}

impl Hub {
    /// Sends a signal to one member, with its true sender. It changes no state; a member on this node gets it at once.
    pub async fn signal(&self, seat: &Membership, signal: &Signal) -> Result<(), HubError> {
        let frame = encode(&ServerFrame::Signal(SignalFrame {
            kind: signal.kind,
            from: &seat.user,
            to: &signal.to,
            payload: signal.payload.as_ref().map(|payload| &*payload.0),
            negotiation_id: signal.negotiation_id.as_ref(),
            node_id: self.node().as_str(),
            signal_id: &self.signals.fresh(),
        }));
        self.direct(seat, Right::Signal, &signal.to, frame).await
    }

    /// Sends a BROADCAST with `to` to one member.
    pub async fn send_direct_message(&self, seat: &Membership, message: &DirectMessage) -> Result<(), HubError> {
        let frame = encode(&ServerFrame::DirectMessage {
            user_id: &seat.user,
            event: &message.event,
            data: message.data.as_ref(),
            to: &message.to,
            timestamp: self.now(),
        });
        self.direct(seat, Right::Broadcast, &message.to, frame).await
    }

    async fn direct(&self, seat: &Membership, right: Right, to: &UserId, frame: Frame) -> Result<(), HubError> {
        let from = (&seat.user, seat.conn);
        let at = match self.with(&seat.room, |replica, _, out| replica.direct(from, right, to, &frame, out))? {
            Route::Here => return Ok(()),
            Route::Elsewhere(node) => node,
            Route::Nobody => return Err(self.nobody(seat, to)),
        };
        match self.backend().direct(&seat.room.id, to, at.as_ref(), frame).await? {
            Delivery::Sent | Delivery::Kept => Ok(()),
            Delivery::Nobody => Err(self.nobody(seat, to)),
        }
    }

    /// Peers continue to send for a while to a member that has left. This is counted, but not logged at level info.
    fn nobody(&self, seat: &Membership, to: &UserId) -> HubError {
        self.parts.metrics.signals_dropped.inc(Dropped::Nobody);
        tracing::debug!(room = %seat.room.id, %to, "a directed frame was dropped because its target is not in the room");
        Refusal::NoSuchMember.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_signals_end_with_a_hexadecimal_number() {
        for number in [0, 1, 15, 16, 0x1a2b, u64::from(u32::MAX) + 1, u64::MAX] {
            let ids = SignalIds { start: "00c0ffee-".into(), next: AtomicU64::new(number) };
            assert_eq!(ids.fresh(), format!("00c0ffee-{number:x}"));
        }
    }
}
