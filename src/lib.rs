//! **tandem** is a real-time signaling cluster. People in a room watch something together and talk over WebRTC, and each browser holds
//! one WebSocket to any node.
//!
//! This is a tour of the modules, in the order in which data passes them:
//!
//! 1. [`socket`] reads frames, with one task for each connection, and writes what the outbox of the connection holds.
//! 2. [`protocol`] parses text into messages, and encodes frames.
//! 3. [`hub`] holds the rooms of this node, and drives a replica of each.
//! 4. [`replica`] is a room on a node: it decides what is loaded, committed, and sent to whom. It does no I/O itself.
//! 5. [`room`] is the pure core: it decides which changes follow from a command, and applies changes.
//! 6. [`backend`] commits updates to shared state, and passes them to every node that has members in the room.
//! 7. [`ledger`] records what happened. In a cluster [`worker`], a separate process, writes it to PostgreSQL.
//!
//! Around these, [`http`] and [`web`] serve everything that is not a WebSocket, [`node`] puts the parts together, [`cli`] is the command
//! line, [`config`] has the settings, [`auth`] the secrets, [`token`] says who an application's users are, [`limit`] the budgets, and [`telemetry`] the log and the metrics. Every module
//! may use [`id`], [`clock`] and [`text`]; `headers` is for those that speak HTTP.
//!
//! `ARCHITECTURE.md` explains why; `docs/protocol.md` is the wire protocol.

pub mod account;
pub mod auth;
pub mod backend;
mod cbor;
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
pub mod tls;
pub mod token;
pub mod web;
pub mod worker;
