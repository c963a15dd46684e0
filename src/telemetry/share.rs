use prometheus_client::metrics::gauge::Gauge;

/// A contribution to a gauge that ends when this is dropped, so a gauge cannot drift from what it counts.
#[derive(Debug)]
pub struct Share {
    gauge: Gauge,
    amount: i64,
}

impl Share {
    /// Adds this amount to `gauge`.
    pub fn new(gauge: &Gauge, amount: i64) -> Self {
        gauge.inc_by(amount);
        Self { gauge: gauge.clone(), amount }
    }

    /// Changes the amount.
    pub fn set(&mut self, amount: i64) {
        if amount != self.amount {
            self.gauge.inc_by(amount - self.amount);
            self.amount = amount;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.gauge.dec_by(self.amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_is_the_sum_of_what_is_there() {
        let gauge = Gauge::default();
        let mut one = Share::new(&gauge, 1);
        let other = Share::new(&gauge, 0);
        one.set(5);
        one.set(3);
        assert_eq!(gauge.get(), 3);
        drop(one);
        assert_eq!(gauge.get(), 0);
        drop(other);
        assert_eq!(gauge.get(), 0);
    }
}
