//! What the clients do.

pub(crate) mod control;
pub(crate) mod growth;
pub(crate) mod idle;
pub(crate) mod limit;
pub(crate) mod trips;
