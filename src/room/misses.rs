use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::clock::Millis;

/// The wrong PINs of a room as earlier releases count them: this one carries their count on, and counts by [`super::PinGuard`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct Misses {
    #[n(0)]
    count: u32,
    #[n(1)]
    last: Millis,
    #[n(2)]
    open_at: Millis,
}
