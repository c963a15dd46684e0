//! Those who make a load.

mod hand;
mod order;
mod remote;
mod staff;
mod team;

pub(crate) use remote::serve;
pub(crate) use staff::Staff;
pub(crate) use team::Crew;

use hand::Hand;
use order::{Answer, Order};
use remote::Remote;
