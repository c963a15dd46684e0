//! The steps, and what they are done with.

mod core;
mod decode;
mod hub;
mod ledger;
mod people;

pub(crate) use self::{core::steps as core, decode::steps as decode, hub::steps as hub, ledger::steps as ledger};
