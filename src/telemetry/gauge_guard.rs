use prometheus_client::metrics::gauge::Gauge;

/// A contribution to a gauge, withdrawn when the guard is dropped, so that a gauge cannot drift from what it counts.
#[derive(Debug)]
pub struct GaugeGuard {
    gauge: Gauge,
    amount: i64,
}

impl GaugeGuard {
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

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.gauge.dec_by(self.amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_is_the_sum_of_the_live_guards() {
        let gauge = Gauge::default();
        let mut one = GaugeGuard::new(&gauge, 1);
        let other = GaugeGuard::new(&gauge, 0);
        one.set(5);
        one.set(3);
        assert_eq!(gauge.get(), 3);
        drop(one);
        assert_eq!(gauge.get(), 0);
        drop(other);
        assert_eq!(gauge.get(), 0);
    }
}
