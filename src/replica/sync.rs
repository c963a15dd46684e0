use std::sync::Arc;

use crate::{clock::Millis, room::Update};

/// Maximum number of buffered updates during a load. Beyond it the room is loaded once more.
pub(super) const MOST_BUFFERED: usize = 4_096;
/// Pause after a failed load, in ms.
pub(super) const RETRY: Millis = 1_000;

/// Whether the replica agrees with shared state.
#[derive(Debug)]
pub(super) enum Sync {
    /// The room is not loaded yet.
    Unloaded,
    /// A turn is loading the room; updates are buffered.
    Loading(Loading),
    /// Updates are applied.
    Live,
    /// Updates may be missing: the room is loaded before anything else is decided in it, at the latest at `at`.
    Resync { why: Why, at: Millis },
    /// The replica is no longer used.
    Retired,
}

#[derive(Debug)]
pub(super) struct Loading {
    /// Whether this is the first load.
    first: bool,
    /// The buffered updates.
    buffered: Vec<Arc<Update>>,
    /// The reason for another load after this one.
    again: Option<Why>,
}

/// Why a room has to be loaded again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// An update does not follow the one before it.
    Gap,
    /// Shared state reports that updates may have been lost, or that the room was restored.
    Told,
    /// A commit had no answer, and may have succeeded.
    Unanswered,
    /// Other nodes change the room faster than this node can commit, or an unknown update is missing.
    Contended,
    /// The previous load failed.
    Failed,
    /// Other nodes evicted a member whose socket is here.
    WrongEviction,
    /// A member has a seat on this node but no socket.
    Ghost,
    /// The lease had expired: other nodes may have reaped this one.
    LeaseLost,
    /// A turn panicked.
    Broken,
}

impl Sync {
    /// Whether the room was loaded, and is not retired.
    pub(super) fn is_loaded(&self) -> bool {
        !matches!(self, Self::Unloaded | Self::Retired)
    }

    /// Whether the room must be loaded before anything is decided in it.
    pub(super) fn needs_load(&self) -> bool {
        matches!(self, Self::Unloaded | Self::Resync { .. })
    }

    /// The latest time of the next load, if one is necessary.
    pub(super) fn resync_at(&self) -> Option<Millis> {
        match self {
            Self::Resync { at, .. } => Some(*at),
            _ => None,
        }
    }

    /// Records that updates may be missing.
    pub(super) fn mark(&mut self, why: Why, at: Millis) {
        match self {
            Self::Live => *self = Self::Resync { why, at },
            Self::Resync { at: before, .. } => *before = at.min(*before),
            // The read may not include what happened after it began.
            Self::Loading(loading) => loading.again = Some(why),
            Self::Unloaded | Self::Retired => {}
        }
    }

    /// Begins a read. Updates that were buffered for an earlier read stay.
    pub(super) fn begin(&mut self) {
        match self {
            Self::Loading(loading) => loading.again = None,
            state => {
                let first = matches!(state, Self::Unloaded);
                *state = Self::Loading(Loading { first, buffered: Vec::new(), again: None });
            }
        }
    }

    /// Buffers an update during a load. If there are too many, all are dropped, and the result is false.
    pub(super) fn buffer(&mut self, update: &Arc<Update>) -> Option<bool> {
        let Self::Loading(loading) = self else { return None };
        let fits = loading.buffered.len() < MOST_BUFFERED;
        if !fits {
            loading.buffered.clear();
            loading.again = Some(Why::Gap);
        }
        loading.buffered.push(Arc::clone(update));
        Some(fits)
    }

    /// Ends a successful read, and returns the buffered updates.
    pub(super) fn loaded(&mut self, now: Millis) -> Vec<Arc<Update>> {
        let Self::Loading(loading) = self else { return Vec::new() };
        let buffered = std::mem::take(&mut loading.buffered);
        *self = match loading.again {
            Some(why) => Self::Resync { why, at: now },
            None => Self::Live,
        };
        buffered
    }

    /// Ends a failed read. The next one includes the updates that arrived meanwhile.
    pub(super) fn failed(&mut self, why: Why, now: Millis) {
        match self {
            // There is no replica yet that could be wrong.
            Self::Loading(Loading { first: true, .. }) => *self = Self::Unloaded,
            Self::Loading(_) => *self = Self::Resync { why, at: now + RETRY },
            state => state.mark(why, now + RETRY),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RoomId;

    fn update(base: u64) -> Arc<Update> {
        Arc::new(Update { room: RoomId::parse("r").unwrap(), epoch: 1, base, at: 0, changes: Vec::new() })
    }

    #[test]
    fn a_first_load_that_fails_leaves_nothing_behind_and_a_later_one_is_tried_again() {
        let mut sync = Sync::Unloaded;
        sync.mark(Why::Told, 5);
        assert!(matches!(sync, Sync::Unloaded), "what is not there cannot be wrong");
        sync.begin();
        sync.mark(Why::Told, 5);
        sync.failed(Why::Failed, 7);
        assert!(matches!(sync, Sync::Unloaded));
        sync.begin();
        assert!(sync.loaded(8).is_empty());
        assert!(matches!(sync, Sync::Live));
        sync.begin();
        sync.failed(Why::Failed, 9);
        assert_eq!(sync.resync_at(), Some(9 + RETRY));
        assert!(sync.needs_load() && sync.is_loaded());
    }

    #[test]
    fn what_comes_while_the_room_is_read_waits_and_a_doubt_outlives_the_read() {
        let mut sync = Sync::Live;
        assert_eq!(sync.buffer(&update(1)), None);
        sync.begin();
        assert_eq!(sync.buffer(&update(1)), Some(true));
        sync.mark(Why::Told, 3);
        // It is read once more: that answers the doubt.
        sync.begin();
        assert_eq!(sync.buffer(&update(2)), Some(true));
        assert_eq!(sync.loaded(4), [update(1), update(2)]);
        assert!(matches!(sync, Sync::Live));
        sync.begin();
        sync.mark(Why::WrongEviction, 5);
        sync.loaded(6);
        assert!(matches!(sync, Sync::Resync { why: Why::WrongEviction, at: 6 }));
    }

    #[test]
    fn too_many_updates_are_dropped_and_the_room_is_read_once_more() {
        let mut sync = Sync::Unloaded;
        sync.begin();
        for base in 0..MOST_BUFFERED as u64 {
            assert_eq!(sync.buffer(&update(base)), Some(true));
        }
        assert_eq!(sync.buffer(&update(9_999)), Some(false));
        assert_eq!(sync.loaded(1), [update(9_999)]);
        assert!(matches!(sync, Sync::Resync { why: Why::Gap, at: 1 }));
    }

    #[test]
    fn the_earlier_of_two_resyncs_counts_and_a_retired_room_has_none() {
        let mut sync = Sync::Live;
        sync.mark(Why::Failed, 50);
        sync.mark(Why::Gap, 10);
        sync.mark(Why::Failed, 60);
        assert_eq!(sync.resync_at(), Some(10));
        sync = Sync::Retired;
        sync.mark(Why::Gap, 1);
        assert!(matches!(sync, Sync::Retired) && !sync.is_loaded() && !sync.needs_load());
    }
}
