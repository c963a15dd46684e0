//! **tandem**: a real-time signaling cluster. People in a room watch something together and talk over WebRTC; each browser holds one
//! WebSocket to any node.
//!
//! This is the tour, in the order in which data goes:
//!
//! 1. [`socket`] reads frames, one task a connection, and writes what its outbox holds.
//! 2. [`protocol`] turns text into messages and back.
//! 3. [`hub`] has the rooms that this node takes part in, and drives
//! 4. [`replica`], a room on a node: it asks
//! 5. [`room`], the pure core, what a command leads to, and has
//! 6. [`backend`] commit that; it comes back to every node that has members there, and out to their sockets.
//! 7. [`ledger`] writes down what happened; in a cluster [`worker`], a process of its own, does.
//!
//! Around it: [`http`] and [`web`] are the doors that are no sockets, [`node`] puts everything together, [`cli`] is the command
//! line, [`config`] the settings, [`auth`] the secrets, [`limit`] the budgets, [`telemetry`] what operators see. [`id`], [`clock`] and
//! [`text`] are known to all, `headers` to all doors.
//!
//! `ARCHITECTURE.md` says why; `docs/protocol.md` is the wire.

pub mod auth;
pub mod backend;
pub mod cli;
pub mod clock;
pub mod config;
mod headers;
pub mod http;
pub mod hub;
pub mod id;
pub mod ledger;
pub mod limit;
pub mod node;
pub mod protocol;
pub mod replica;
pub mod room;
pub mod socket;
pub mod telemetry;
pub mod text;
pub mod web;
pub mod worker;
