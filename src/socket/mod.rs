//! WebSockets, from the upgrade to the close. Each connection has a task that reads frames, hands them to the hub in order, and writes
//! what the outbox of the connection holds.

mod admission;
mod admitted;
mod answer;
mod base;
mod budget;
mod client_session;
mod connection;
mod end;
mod entry;
mod features;
mod handshake;
mod heartbeat;
mod invitations;
mod limit;
mod limits;
mod opening;
mod pending;
mod refusal;
mod registry;
mod tokens;
mod transport;
mod upgrade;
mod web_socket;
mod wire;
mod write;

pub use admission::Admission;
pub use admitted::Admitted;
pub use handshake::{Handshake, Unfit, asks_for_socket, is_of_sockets};
pub use invitations::{Invitations, NotInvited};
pub use limits::Limits;
pub use registry::Registry;
pub use tokens::{NotAdmitted, Tokens};
pub use transport::Transport;
pub use upgrade::{Gateway, GatewayParts, upgrade};
pub use wire::{Carrier, Lane};
