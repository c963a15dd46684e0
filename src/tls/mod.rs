//! TLS of the node itself: the handshake, and a certificate that can be replaced while sockets are open.

mod acceptor;
mod error;
mod pair;
mod watch;

pub use acceptor::Tls;
pub use error::PairError;
pub use pair::PairFiles;
