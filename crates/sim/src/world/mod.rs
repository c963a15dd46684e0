//! Plays a story: nodes, clients, and what the plan does to them, in one thread on virtual time.

mod play;
mod strike;
#[expect(clippy::module_inception, reason = "the noun of this module")]
mod world;

pub(crate) use self::world::keys;
pub use self::{play::play, world::Nodes};
