/// Searches the highest good rate: doubles (or halves) the rate until one is good and one is bad, then bisects between the two.
#[derive(Debug, Clone, Copy)]
pub(super) struct Search {
    first: u64,
    /// The highest rate to try.
    most: u64,
    /// The search ends when good and bad are so near, in percent of the good rate.
    precision: u64,
    good: Option<u64>,
    bad: Option<u64>,
}

/// How often the first rate is halved at most.
const HALVINGS: u32 = 6;

impl Search {
    pub(super) fn new(first: u64, most: u64, precision: u64) -> Self {
        Self { first: first.clamp(1, most.max(1)), most: most.max(1), precision, good: None, bad: None }
    }

    pub(super) fn good(&self) -> Option<u64> {
        self.good
    }

    pub(super) fn bad(&self) -> Option<u64> {
        self.bad
    }

    /// The rate to try next; `None` at the end of the search.
    pub(super) fn next(&self) -> Option<u64> {
        match (self.good, self.bad) {
            (None, None) => Some(self.first),
            (Some(good), None) => (good < self.most).then(|| good.saturating_mul(2).min(self.most)),
            (None, Some(bad)) => {
                let least = (self.first >> HALVINGS).max(1);
                (bad > least).then_some(bad / 2)
            }
            (Some(good), Some(bad)) => {
                let near = (good * self.precision / 100).max(1);
                (bad - good > near).then(|| u64::midpoint(good, bad))
            }
        }
    }

    pub(super) fn learn(&mut self, rate: u64, good: bool) {
        if good {
            self.good = self.good.max(Some(rate));
        } else {
            self.bad = Some(self.bad.map_or(rate, |bad| bad.min(rate)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rates that a search tries when those up to `limit` are good.
    fn tried(mut search: Search, limit: u64) -> (Vec<u64>, Option<u64>) {
        let mut tried = Vec::new();
        while let Some(rate) = search.next() {
            assert!(tried.len() < 50, "{tried:?}");
            search.learn(rate, rate <= limit);
            tried.push(rate);
        }
        (tried, search.good())
    }

    #[test]
    fn it_doubles_and_then_halves_the_gap() {
        let (rates, good) = tried(Search::new(500, 100_000, 10), 2_700);
        assert_eq!(rates, [500, 1_000, 2_000, 4_000, 3_000, 2_500, 2_750]);
        assert_eq!(good, Some(2_500));
    }

    #[test]
    fn it_goes_down_where_the_first_is_too_much() {
        let (rates, good) = tried(Search::new(1_000, 100_000, 10), 300);
        assert_eq!(rates[..3], [1_000, 500, 250]);
        assert!(good.is_some_and(|good| (270..=300).contains(&good)), "{good:?}");
        let (rates, good) = tried(Search::new(1_000, 100_000, 10), 0);
        assert_eq!((rates.last(), good), (Some(&15), None));
    }

    #[test]
    fn it_ends_at_the_most_that_can_be_made() {
        assert_eq!(tried(Search::new(500, 1_500, 5), u64::MAX), (vec![500, 1_000, 1_500], Some(1_500)));
        assert_eq!(tried(Search::new(500, 100, 5), u64::MAX), (vec![100], Some(100)));
    }

    #[test]
    fn it_is_always_right_within_its_precision() {
        for limit in [1, 2, 3, 77, 499, 500, 501, 12_345, 99_999] {
            let (_, good) = tried(Search::new(60, 100_000, 5), limit);
            let good = good.unwrap();
            assert!(good <= limit && limit - good <= (good / 20).max(1), "{limit}: {good}");
        }
    }
}
