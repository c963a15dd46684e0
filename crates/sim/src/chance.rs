//! Where everything random comes from.
//!
//! The code under test draws random numbers in many places: event ids, resume tokens, the hash keys of `HashMap` and `DashMap`, on which the
//! order of their entries depends. All of these come from the operating system in the end, through `getrandom`. This binary has a function of
//! that name of its own, as the `madsim` crate has, so that a thread that [`sow`]s a seed draws the same bytes each time, and the code under
//! test needs no seam for it.
//!
//! tokio has random numbers of its own, which no seed reaches. `tests/steady.rs` holds that nothing in a story depends on them.

use std::{cell::Cell, time::SystemTime};

thread_local! {
    static STATE: Cell<Option<u64>> = const { Cell::new(None) };
}

/// From now on the random bytes of this thread follow from `seed`. A story runs on a fresh thread, because the standard library draws the
/// hash keys of a thread once.
pub fn sow(seed: u64) {
    STATE.set(Some(seed));
}

/// The seed of a thread that plays no story.
fn unsown() -> u64 {
    let place: u64 = STATE.with(|state| std::ptr::from_ref(state).addr() as u64);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    place.rotate_left(32) ^ u64::try_from(now.as_nanos()).unwrap_or_default()
}

fn fill(bytes: &mut [u8]) {
    let mut dice = Dice::new(STATE.get().unwrap_or_else(unsown));
    for chunk in bytes.chunks_mut(8) {
        chunk.copy_from_slice(&dice.next().to_le_bytes()[..chunk.len()]);
    }
    STATE.set(Some(dice.0));
}

/// Takes the place of the function of the C library.
///
/// # Safety
/// `bytes` points to `length` bytes that may be written.
#[allow(unsafe_code, reason = "the one seam that needs it")]
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(bytes: *mut u8, length: usize, _flags: u32) -> isize {
    if length > 0 {
        // SAFETY: the caller vouches for it.
        fill(unsafe { std::slice::from_raw_parts_mut(bytes, length) });
    }
    isize::try_from(length).unwrap_or(isize::MAX)
}

/// A stream of random numbers (SplitMix64).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns another stream, which does not depend on how often this one is used.
    #[must_use]
    pub fn branch(&self, name: u64) -> Self {
        let mut dice = Self(self.0 ^ name.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Self(dice.next())
    }

    #[allow(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Draws a number from `from` to `to`, both included.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from + 1)
    }

    /// Returns true in `percent` of a hundred cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.next() % length as u64).unwrap_or_default()
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.index(from.len())]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn drawn(seed: u64) -> (Vec<u32>, uuid::Uuid) {
        let draw = move || {
            sow(seed);
            let map: HashMap<u32, ()> = (0..100).map(|number| (number, ())).collect();
            (map.into_keys().collect(), tandem::id::ConnId::random().0)
        };
        std::thread::spawn(draw).join().unwrap()
    }

    #[test]
    fn hash_maps_and_random_ids_follow_from_the_seed() {
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1).0, drawn(2).0);
        assert_ne!(drawn(1).1, drawn(2).1);
    }
}
