//! Judges a story. It knows all commits of the store and all frames that clients got.

mod acknowledged;
mod court;
mod door;
mod doors;
mod ear;
mod end;
mod field;
mod ledger;
mod seat;
mod signals;
mod truth;
mod verdict;

pub use self::{
    court::judge,
    verdict::{Crime, Verdict},
};
