//! Everything on the port that is not a WebSocket, and the way to the one that is.

mod cors;
mod invite;
mod peer;
mod probe;
mod request_id;
mod router;
mod scoop;
mod serve;
mod status;

pub use peer::Peer;
pub use router::{Site, SiteParts, router};
pub use serve::serve;
