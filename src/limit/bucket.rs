use crate::clock::Millis;

/// A budget that refills steadily, by the generic cell rate algorithm of ATM traffic management. It needs one number for each socket, and
/// takes time as an argument.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bucket {
    /// When the bucket will be full again, in microseconds.
    full_at: u64,
}

impl Bucket {
    /// Takes `amount` out of a bucket that holds `burst` and refills by `per_second`, or says how long to wait for it.
    pub fn take(&mut self, amount: u32, per_second: u32, burst: u32, now: Millis) -> Result<(), Millis> {
        let (full_at, wait) = self.after(amount, per_second, burst, now);
        if wait > 0 {
            return Err(wait);
        }
        self.full_at = full_at;
        Ok(())
    }

    /// Takes `amount` even if the bucket does not hold it. Returns how long it takes until the debt is paid.
    pub fn owe(&mut self, amount: u32, per_second: u32, burst: u32, now: Millis) -> Millis {
        let (full_at, wait) = self.after(amount, per_second, burst, now);
        self.full_at = full_at;
        wait
    }

    /// How much is missing from a full bucket, at most all of it.
    pub fn used(&self, per_second: u32, burst: u32, now: Millis) -> u32 {
        let missing = self.full_at.saturating_sub(now * 1_000).saturating_mul(per_second.max(1).into());
        u32::try_from(missing.div_ceil(1_000_000)).unwrap_or(u32::MAX).min(burst)
    }

    /// When the bucket would be full again after taking `amount`, and how long the debt lasts.
    fn after(self, amount: u32, per_second: u32, burst: u32, now: Millis) -> (u64, Millis) {
        // Multiplied first: a rate may be more than one in a microsecond.
        let time = |amount: u32| u64::from(amount) * 1_000_000 / u64::from(per_second.max(1));
        let now = now * 1_000;
        let full_at = self.full_at.max(now) + time(amount.min(burst));
        let most = now + time(burst.max(1));
        (full_at, full_at.saturating_sub(most).div_ceil(1_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let mut bucket = Bucket::default();
        let taken = (0..500).filter(|_| bucket.take(1, 100, 300, 1_000).is_ok()).count();
        assert_eq!(taken, 300);
        assert_eq!(bucket.take(1, 100, 300, 1_000), Err(10));
        assert_eq!(bucket.take(1, 100, 300, 1_010), Ok(()));
        let taken = (0..500).filter(|_| bucket.take(1, 100, 300, 2_010).is_ok()).count();
        assert_eq!(taken, 100);
        let taken = (0..500).filter(|_| bucket.take(1, 100, 300, 60_000).is_ok()).count();
        assert_eq!(taken, 300, "it never holds more than the burst");
        assert_eq!(bucket.take(201, 100, 300, 62_000), Err(10), "two thirds of it are back");
        assert_eq!(bucket.take(900, 100, 300, 70_000), Ok(()), "what is larger than the bucket takes all of it");
    }

    #[test]
    fn a_rate_may_be_higher_than_one_in_a_microsecond() {
        let mut bucket = Bucket::default();
        assert_eq!(bucket.owe(1_000_000, 4_000_000, 1_000_000, 1_000), 0);
        assert_eq!(bucket.owe(1_000_000, 4_000_000, 1_000_000, 1_000), 250);
    }

    #[test]
    fn what_is_used_comes_back_at_the_rate() {
        let mut bucket = Bucket::default();
        assert_eq!(bucket.used(100, 300, 1_000), 0);
        bucket.owe(200, 100, 300, 1_000);
        assert_eq!(bucket.used(100, 300, 1_000), 200);
        assert_eq!(bucket.used(100, 300, 2_000), 100);
        bucket.owe(300, 100, 300, 2_000);
        assert_eq!(bucket.used(100, 300, 2_000), 300, "never more than there is");
    }

    #[test]
    fn what_is_owed_has_to_come_back_first() {
        let mut bucket = Bucket::default();
        assert_eq!(bucket.owe(300, 100, 300, 1_000), 0);
        assert_eq!(bucket.owe(10, 100, 300, 1_000), 100);
        assert_eq!(bucket.owe(1, 100, 300, 1_050), 60);
        assert_eq!(bucket.take(1, 100, 300, 1_110), Err(10), "it is empty, no longer overdrawn");
        assert_eq!(bucket.take(1, 100, 300, 1_120), Ok(()));
    }
}
