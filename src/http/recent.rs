use std::sync::{Mutex, PoisonError};

use crate::{clock::Millis, limit::Bucket};

/// How many answers are made anew each second, and at once.
const FRESH: u32 = 10;

/// An answer that costs more to make than to send again. Who asks now and then gets a fresh one; a crowd shares the last one. Since ten are
/// made anew each second, that is a tenth of a second old.
#[derive(Debug)]
pub(super) struct Recent<T> {
    state: Mutex<(Bucket, Option<T>)>,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self { state: Mutex::new((Bucket::default(), None)) }
    }
}

impl<T: Clone> Recent<T> {
    /// The last answer, if it is to be sent again at `now`; `None` if a fresh one is to be made.
    pub(super) fn again(&self, now: Millis) -> Option<T> {
        let (budget, last) = &mut *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if budget.take(1, FRESH, FRESH, now).is_ok() { None } else { last.clone() }
    }

    /// Keeps an answer for others.
    pub(super) fn keep(&self, answer: T) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1 = Some(answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_shares_an_answer_and_nobody_gets_an_old_one() {
        let recent = Recent::default();
        let (mut made, mut oldest) = (0, 0);
        // Ten thousand a second, for ten seconds.
        for step in 0_u64..100_000 {
            let now = 1_000 + step / 10;
            if let Some(at) = recent.again(now) {
                oldest = oldest.max(now - at);
            } else {
                made += 1;
                recent.keep(now);
            }
        }
        assert!((100..=111).contains(&made), "{made}");
        assert!(oldest <= 100, "{oldest}");
        // Who asks once a second is never given what was made for another.
        let recent = Recent::default();
        for second in 1..20 {
            assert_eq!(recent.again(second * 1_000), None);
            recent.keep(second);
        }
    }
}
