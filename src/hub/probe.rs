use super::{Hub, Outbox};
use crate::{
    backend::{RoomEvents as _, answered},
    id::{ConnId, NodeId, RoomId, UserId},
    telemetry::SeatCheck,
};

impl Hub {
    /// Whether the socket that holds a seat still answers a ping, on any node; `None` if its node does not reply. No turn is held
    /// meanwhile, and the check ends early when the socket of the claimant is closed.
    pub(super) async fn still_answers(
        &self,
        room: &RoomId,
        user: &UserId,
        (node, conn): (&NodeId, ConnId),
        asker: &Outbox,
    ) -> Option<bool> {
        let check = async {
            if node == self.node() {
                return Some(answered(self.ask(room, user, conn)).await);
            }
            match self.backend().answers(node, room, user, conn).await {
                Ok(answers) => answers,
                Err(error) => {
                    tracing::debug!(%room, %node, %error, "another node could not be asked for a socket");
                    None
                }
            }
        };
        let answers = tokio::select! {
            biased;
            answers = check => answers,
            _ = asker.given_up() => None,
        };
        let outcome = match answers {
            Some(true) => SeatCheck::Answers,
            Some(false) => SeatCheck::Silent,
            None => SeatCheck::Unknown,
        };
        self.parts.metrics.seat_checks.inc(outcome);
        tracing::info!(holder = %conn, %node, ?outcome, "a client from another address claims a seat; the seat's socket was pinged");
        answers
    }
}
