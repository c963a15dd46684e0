//! Keys that an application publishes as a JWKS (RFC 7517), fetched in the background.

mod client;
mod document;
mod refresh;
mod url;

pub(super) use refresh::Jwks;
pub use refresh::{JwksSettings, JwksStatus, Pace};
pub use url::{BadJwksUrl, JwksUrl};
