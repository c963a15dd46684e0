//! What the work of a harmless client costs, and would cost at another rate.

/// Attempts beyond this many each second are priced, and not played: a harmless client that tried so much would fill the machine.
pub(super) const PLAYED: f64 = 2_000.0;

/// CPU time of the nodes for one operation of a harmless client, in microseconds: what they used beyond a calm time. Figures in percent of a
/// core. Less than nothing is noise.
pub(super) fn operation_us(with: f64, calm: f64, per_second: f64) -> Option<f64> {
    (per_second > 0.0).then(|| (with - calm).max(0.0) * 10_000.0 / per_second)
}

/// CPU of the nodes in percent of a core, if a harmless client did so much each second. This is computed, and nobody has done it.
pub(super) fn computed(calm: f64, operation_us: f64, per_second: f64) -> f64 {
    calm + operation_us * per_second / 10_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "the numbers are whole")]
    fn a_price_holds_at_any_rate() {
        let us = operation_us(13.0, 3.0, 2_000.0).unwrap();
        assert_eq!(us, 50.0);
        assert_eq!(computed(3.0, us, 40_000.0), 203.0);
        assert_eq!(operation_us(2.0, 3.0, 100.0), Some(0.0));
        assert_eq!(operation_us(2.0, 3.0, 0.0), None);
    }
}
