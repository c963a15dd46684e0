//! The upper bounds of the buckets of each histogram.

use std::time::Duration;

const fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Bounds for work within a node, including waits for Redis.
pub(super) const RELAY: [Duration; 15] = [
    micros(10),
    micros(25),
    micros(50),
    micros(100),
    micros(250),
    micros(500),
    millis(1),
    micros(2_500),
    millis(5),
    millis(10),
    millis(25),
    millis(100),
    millis(250),
    millis(1_000),
    millis(2_500),
];
/// Bounds for times in whole milliseconds, because the clock of another node is involved.
pub(super) const REMOTE: [Duration; 11] = [
    millis(1),
    millis(2),
    millis(3),
    millis(5),
    millis(10),
    millis(25),
    millis(50),
    millis(100),
    millis(250),
    millis(1_000),
    millis(5_000),
];
/// Bounds for a round trip to Redis, whose deadline is two seconds by default.
pub(super) const COMMIT: [Duration; 14] = [
    micros(100),
    micros(250),
    micros(500),
    millis(1),
    micros(2_500),
    millis(5),
    millis(10),
    millis(25),
    millis(50),
    millis(100),
    millis(250),
    millis(500),
    millis(1_000),
    millis(2_500),
];
