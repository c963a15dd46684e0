//! The driver of replicas, and what goes to sockets.

use super::{Edit, Mutant};

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "session-outlives-socket",
        what: "a socket's end is committed before its session is taken away",
        edits: &[Edit {
            file: "src/hub/act.rs",
            old: "self.with(&seat.room, |replica, _, _| replica.disconnect(&seat.user, seat.conn));",
            new: "if !MUTANT { self.with(&seat.room, |replica, _, _| replica.disconnect(&seat.user, seat.conn)); }",
        }],
    },
    Mutant {
        name: "stale-unheard",
        what: "a node is told that it may have missed something, and does not listen",
        edits: &[Edit {
            file: "src/hub/hub.rs",
            old: "fn stale(&self, room: &RoomId) {
        if let Some(room) = self.find(room) {",
            new: "fn stale(&self, room: &RoomId) {
        if !MUTANT && let Some(room) = self.find(room) {",
        }],
    },
    Mutant {
        name: "no-turn",
        what: "a node does several things in a room at once",
        edits: &[Edit {
            file: "src/hub/driver.rs",
            old: "let _turn = room.turn.lock().await;",
            new: "let _turn = if MUTANT { None } else { Some(room.turn.lock().await) };",
        }],
    },
    Mutant {
        name: "coalesces-all",
        what: "a frame of any type takes the place of an earlier one that waits",
        edits: &[Edit {
            file: "src/hub/outbox.rs",
            old: "if kind.is_coalescable()",
            new: "if (kind.is_coalescable() || MUTANT)",
        }],
    },
    Mutant {
        name: "signal-dropped",
        what: "a signal for a member that is not on this node is acknowledged and dropped",
        edits: &[Edit {
            file: "src/hub/signal.rs",
            old: "Route::Elsewhere(node) => node,",
            new: "Route::Elsewhere(_) if MUTANT => return Ok(()),
            Route::Elsewhere(node) => node,",
        }],
    },
    Mutant {
        name: "close-untold",
        what: "a socket whose seat is lost stays open",
        edits: &[Edit {
            file: "src/hub/driver.rs",
            old: "Effect::Close { to, why } => to.close(why),",
            new: "Effect::Close { to, why } => if !MUTANT { to.close(why) },",
        }],
    },
];
