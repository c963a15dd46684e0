//! Says what was wrong with a story. Knows all that the store took in and all that clients were told.

mod acknowledged;
mod court;
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
