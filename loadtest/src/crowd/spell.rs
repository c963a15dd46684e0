use std::time::{Duration, Instant};

use super::Habits;

/// What somebody does by himself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    Position,
    Heartbeat,
    Seek,
    Chat,
    Reload,
    Rejoin,
}

/// A habit, and when it is due again: fixed in advance, whatever the server does.
#[derive(Debug)]
struct Spell {
    deed: Deed,
    every: Duration,
    due: Instant,
}

/// The habits of one member.
#[derive(Debug)]
pub(super) struct Spells(Vec<Spell>);

impl Spells {
    /// Each begins at a random moment of its first period.
    pub(super) fn new(habits: &Habits, host: bool) -> Self {
        let wanted = [
            (Deed::Position, habits.position),
            (Deed::Heartbeat, habits.heartbeat.filter(|_| host)),
            (Deed::Seek, habits.seek.filter(|_| host)),
            (Deed::Chat, habits.chat.filter(|_| host)),
            (Deed::Reload, habits.reload.filter(|_| !host)),
            (Deed::Rejoin, habits.rejoin.filter(|_| !host)),
        ];
        let now = Instant::now();
        let spell = |(deed, every): (Deed, Option<Duration>)| {
            let every = every?;
            Some(Spell { deed, every, due: now + every.mul_f64(rand::random()) })
        };
        Self(wanted.into_iter().filter_map(spell).collect())
    }

    /// When there is something to do.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.iter().map(|spell| spell.due).min()
    }

    /// What is due, and since when.
    pub(super) fn take(&mut self, now: Instant) -> Option<(Deed, Instant)> {
        let spell = self.0.iter_mut().min_by_key(|spell| spell.due).filter(|spell| spell.due <= now)?;
        let due = spell.due;
        spell.due += spell.every;
        Some((spell.deed, due))
    }

    /// What became due while nobody could do it is left out.
    pub(super) fn skip(&mut self, now: Instant) {
        for spell in &mut self.0 {
            while spell.due < now {
                spell.due += spell.every;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn habits_keep_their_pace() {
        let habits =
            Habits { chat: Some(Duration::from_secs(1)), reload: Some(Duration::from_secs(9)), ..Habits::QUIET };
        let mut spells = Spells::new(&habits, true);
        let first = spells.next().unwrap();
        assert_eq!(spells.take(first), Some((Deed::Chat, first)));
        assert_eq!(spells.take(first), None);
        assert_eq!(spells.next(), Some(first + Duration::from_secs(1)));
        spells.skip(first + Duration::from_millis(5_500));
        assert_eq!(spells.next(), Some(first + Duration::from_secs(6)));
        assert!(Spells::new(&Habits::QUIET, false).next().is_none());
    }
}
