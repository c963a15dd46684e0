use crate::protocol::Generation;

/// The features that a client may request in JOIN, in the order of the bits of [`Features`].
const NAMES: [&str; 3] = ["resume", "ack", "clock"];

/// All sets of features, as static lists; the index is the set of bits.
const SETS: [&[&str]; 8] = [
    &[],
    &["resume"],
    &["ack"],
    &["resume", "ack"],
    &["clock"],
    &["resume", "clock"],
    &["ack", "clock"],
    &["resume", "ack", "clock"],
];

/// The features in force for a client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Features {
    bits: u8,
    pub(super) generation: Generation,
}

impl Features {
    /// The known ones of the requested features.
    pub(super) fn new(asked: Option<&[Box<str>]>) -> Self {
        let bits =
            (0_u8..).zip(NAMES).filter(|(_, name)| asked.is_some_and(|asked| asked.iter().any(|it| **it == **name)));
        Self { bits: bits.map(|(bit, _)| 1 << bit).sum(), generation: Generation::of(asked) }
    }

    pub(super) fn resume(self) -> bool {
        self.bits & 1 != 0
    }

    pub(super) fn ack(self) -> bool {
        self.bits & 2 != 0
    }

    /// As ROOM_STATE lists them.
    pub(super) fn names(self) -> &'static [&'static str] {
        SETS.get(usize::from(self.bits)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_is_not_in_force() {
        let asked: Vec<Box<str>> = ["clock", "telepathy", "resume"].map(Box::from).into();
        let features = Features::new(Some(&asked));
        assert_eq!(features.names(), ["resume", "clock"]);
        assert!(features.resume() && !features.ack() && features.generation == Generation::Current);
        assert_eq!(Features::new(None), Features::default());
        assert_ne!(Features::new(Some(&[])), Features::default(), "none are not none at all");
    }
}
