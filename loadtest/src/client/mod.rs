//! One WebSocket client, as thin as possible: the load generator shares the machine with the servers that it measures.

mod centrifugo;
mod connection;
mod options;
pub(crate) mod scan;
mod socketio;
mod tandem;

pub(crate) use connection::{Client, Event, Join, Peer};
pub(crate) use options::ClientOptions;
pub(crate) use tandem::{Entry, Seat};
