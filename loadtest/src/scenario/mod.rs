//! What the clients do.

pub(crate) mod control;
pub(crate) mod idle;
pub(crate) mod trips;
