//! Everything on the port that is not a WebSocket, and the way to the one that is.

mod accept;
mod cors;
mod invite;
mod peer;
mod probe;
mod request_id;
mod router;
mod scoop;
mod serve;
mod shield;
mod status;

pub use accept::{Offer, preferred};
pub use peer::Peer;
pub use router::{Site, SiteParts, router};
pub use serve::serve;
pub use status::{OPEN_METRICS, TEXT};
