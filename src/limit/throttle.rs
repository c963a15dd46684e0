use std::sync::{Mutex, PoisonError};

use super::Bucket;
use crate::clock::Millis;

/// Limits how often something happens that clients can provoke, such as a log line, and counts what was skipped.
#[derive(Debug)]
pub struct Throttle {
    state: Mutex<(Bucket, u64)>,
    per_second: u32,
    burst: u32,
}

impl Throttle {
    /// Allows `burst` at once, and `per_second` on average.
    pub fn new(per_second: u32, burst: u32) -> Self {
        Self { state: Mutex::default(), per_second, burst }
    }

    /// The number skipped since the last allowed one; `None` if this one is skipped too.
    pub fn pass(&self, now: Millis) -> Option<u64> {
        let (bucket, skipped) = &mut *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if bucket.take(1, self.per_second, self.burst, now).is_ok() {
            return Some(std::mem::take(skipped));
        }
        *skipped += 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_counted_and_told_with_the_next() {
        let throttle = Throttle::new(1, 2);
        let passed: Vec<_> = (0..5).map(|_| throttle.pass(1_000)).collect();
        assert_eq!(passed, [Some(0), Some(0), None, None, None]);
        assert_eq!(throttle.pass(2_000), Some(3));
        assert_eq!(throttle.pass(2_000), None);
        assert_eq!(throttle.pass(60_000), Some(1));
    }
}
