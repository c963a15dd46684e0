//! HTTP: everything on the port that is not a WebSocket, and the upgrade to one.

mod answer;
mod caller;
mod charged;
mod complaint;
mod connection_limit;
mod cors;
#[cfg(fuzzing)]
pub mod fuzzing;
mod http2;
mod invite;
mod lane;
mod listen;
mod paced;
mod peer;
mod preface;
mod probe;
mod proxies;
mod proxy_header;
mod pulse;
mod read_ahead;
mod recent;
mod request_id;
mod router;
mod seat;
mod serve;
mod shield;
mod status;
mod threshold;

pub use caller::ConnectionAccounts;
pub(crate) use listen::bare;
pub use listen::listen;
pub use peer::Peer;
pub use pulse::Patience;
pub use router::{AppState, AppStateParts, metrics_router, router};
pub use serve::{Terms, serve};
pub use status::{OPEN_METRICS, TEXT};

pub use crate::headers::{Offer, preferred};
