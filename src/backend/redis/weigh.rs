use redis::Script;

use super::quota::Memory;

/// The script that says what a stream takes of Redis' memory, and how much there is.
pub(super) fn weigh_script() -> Script {
    Script::new(include_str!("weigh.lua"))
}

/// Its answer: the bytes of the stream, and, where it was asked for, the memory.
pub(super) type Weighed = (String, String, String);

pub(super) fn weight((bytes, most, servers): &Weighed) -> (u64, Memory) {
    let of_each = most.parse().ok().filter(|most| *most > 0);
    (bytes.parse().unwrap_or_default(), Memory { of_each, servers: servers.parse().unwrap_or(1) })
}
