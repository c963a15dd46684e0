use std::collections::HashMap;

use super::Retention;
use crate::protocol::Frame;

/// The signals that were kept for a member while it was away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inbox {
    /// The frames, oldest first.
    pub frames: Vec<Frame>,
    /// Whether older frames were dropped.
    pub lost: bool,
}

impl Inbox {
    /// Keeps a frame, and returns how many had to go for it: the oldest of whoever has most in here, so that nobody pushes out what others
    /// have sent. Of one sender newer frames win, because old ones belong to a finished negotiation. `keep.lua` has the same rule.
    pub fn keep(&mut self, frame: Frame) -> u64 {
        self.frames.push(frame);
        let mut bytes: usize = self.frames.iter().map(|frame| frame.len()).sum();
        let fits = |frames: usize, bytes: usize| frames <= Retention::SIGNALS && bytes <= Retention::SIGNAL_BYTES;
        if fits(self.frames.len(), bytes) {
            return 0;
        }
        let mut has: HashMap<String, usize> = HashMap::new();
        for frame in &self.frames {
            *has.entry(frame.sender().to_owned()).or_default() += weight(frame);
        }
        let mut gone = 0;
        while !fits(self.frames.len(), bytes) {
            let most = has.values().copied().max();
            let Some(place) = self.frames.iter().position(|frame| has.get(frame.sender()).copied() == most) else {
                break;
            };
            let frame = self.frames.remove(place);
            bytes -= frame.len();
            if let Some(left) = has.get_mut(frame.sender()) {
                *left -= weight(&frame);
            }
            gone += 1;
        }
        self.lost = true;
        gone
    }

    /// Removes the frames of `taken`, which is what was in here a while ago. Some may be gone already, for lack of space.
    pub fn remove(&mut self, taken: &Self) {
        let place = |last: &Frame| {
            let kept = self.frames.iter().take(taken.frames.len());
            kept.enumerate().filter(|(_, frame)| *frame == last).map(|(place, _)| place + 1).last()
        };
        let reached = if taken.frames.is_empty() { Some(0) } else { taken.last_of_each().into_iter().find_map(place) };
        if let Some(reached) = reached {
            self.frames.drain(..reached);
            self.lost &= !taken.lost;
        }
    }

    /// Whether there is nothing in here, and nothing was.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty() && !self.lost
    }

    /// The last frame of each sender, newest first. What goes of a sender is its oldest, so the first of these that is still there is the
    /// newest of all that are.
    pub fn last_of_each(&self) -> Vec<&Frame> {
        let mut last: Vec<&Frame> = Vec::new();
        for frame in self.frames.iter().rev() {
            if last.iter().all(|newer| newer.sender() != frame.sender()) {
                last.push(frame);
            }
        }
        last
    }
}

/// What a frame takes of the space of an inbox, which is bounded by bytes and by number.
fn weight(frame: &Frame) -> usize {
    frame.len() + Retention::SIGNAL_BYTES / Retention::SIGNALS
}
