//! What is asked of a cluster and of those that it is compared with beside messages to rooms: signals to one member on another node, and
//! many who join at once.

mod calls;
mod cost;
mod figures;
mod joins;
mod line;
mod options;
mod run;

pub(crate) use figures::Phase;
pub(crate) use options::PeerOptions;
pub(crate) use run::Ground;
