/// The most that one account may have of something scarce, or `None` while at most half of it is in use.
///
/// One account gets at most half of what the others leave. It always gets an equal part, with room for one more account than there are:
/// otherwise many small accounts that fill a node together would all be cut.
pub fn share(capacity: u64, used: u64, mine: u64, accounts: usize) -> Option<u64> {
    if used.saturating_mul(2) <= capacity {
        return None;
    }
    let others = used.saturating_sub(mine);
    let equal = capacity / (accounts as u64).saturating_add(1);
    Some((capacity.saturating_sub(others) / 2).max(equal))
}

/// Every account may have this many, or half of all, however scarce they are: a party behind one address comes in.
const LEAST: u64 = 100;
/// What there is less of than this is not divided.
const INDIVISIBLE: u64 = 64;

/// What an account may have in any case.
pub fn least(capacity: u64) -> u64 {
    if capacity < INDIVISIBLE { u64::MAX } else { LEAST.min(capacity / 2) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_account_gets_half_of_what_is_left() {
        assert_eq!(share(1_000, 500, 500, 1), None, "half of it is free");
        assert_eq!(share(1_000, 501, 501, 1), Some(500), "alone, half of all");
        assert_eq!(share(1_000, 800, 300, 11), Some(250), "half of what the others leave");
        assert_eq!(share(1_000, 1_000, 5, 200), Some(4), "an equal part");
    }

    proptest! {
        /// Whoever takes as much as it gets, however often and from however many addresses, leaves something to a newcomer.
        #[test]
        fn something_is_left_for_a_newcomer(greedy in 1_usize..20, capacity in 100_u64..100_000) {
            let mut has = vec![0_u64; greedy];
            for _ in 0..100 {
                for who in 0..greedy {
                    let used: u64 = has.iter().sum();
                    let others = used - has[who];
                    let most = share(capacity, used, has[who], greedy).unwrap_or(capacity / 2);
                    has[who] = most.min(capacity - others);
                }
            }
            let left = capacity - has.iter().sum::<u64>();
            prop_assert!(left >= capacity / (greedy as u64 + 1) / 2, "{left} of {capacity}, {has:?}");
        }

        /// A crowd of equals is never cut below what each of them has.
        #[test]
        fn equals_are_not_cut(crowd in 1_usize..1_000, each in 1_u64..100) {
            let used = each * crowd as u64;
            let capacity = used + each;
            prop_assert!(share(capacity, used, each, crowd).is_none_or(|most| most >= each));
        }
    }
}
