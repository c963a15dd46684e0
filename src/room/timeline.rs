use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::{cbor, clock::Millis, id::UserId};

/// The maximum position in a film, in seconds. Players of live streams count from 1970, so today is at 1.8e9.
pub const MAX_POSITION: f64 = 10_000_000_000.0;

/// A report that differs by less than this from the position of the room, in seconds, changes nothing. First-generation clients correct
/// themselves at the same drift.
const TOLERANCE: f64 = 0.5;

/// Reports of the host are ignored for this long after another member moved the film, because the host may have sent them before it knew.
const SETTLE: Millis = 2_000;

/// How a change leaves the film: its timeline without the time and the user of the change.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Encode, Decode)]
pub struct Playback {
    /// The position in seconds.
    #[cbor(n(0), with = "cbor::number")]
    pub position: f64,
    /// Whether the film is playing.
    #[n(1)]
    pub playing: bool,
    /// The playback rate.
    #[cbor(n(2), with = "cbor::number")]
    pub rate: f64,
}

impl Playback {
    /// The timeline that begins when `by` changes the film at `at`.
    pub fn timeline(self, at: Millis, by: &UserId) -> Timeline {
        let Self { position, playing, rate } = self;
        Timeline { position, playing, rate, at, by: Some(by.clone()) }
    }
}

/// The timeline of the film: at `at` it was at `position`, and since then it has advanced at `rate` if `playing`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Encode, Decode)]
pub struct Timeline {
    /// The position at the time `at`, in seconds.
    #[cbor(n(0), with = "cbor::number")]
    pub position: f64,
    /// Whether the film is playing.
    #[n(1)]
    pub playing: bool,
    /// The playback rate.
    #[cbor(n(2), with = "cbor::number")]
    pub rate: f64,
    /// The server's clock.
    #[n(3)]
    pub at: Millis,
    /// The user who moved it last.
    #[n(4)]
    pub by: Option<UserId>,
}

impl Timeline {
    /// A film that has not started.
    pub fn start(at: Millis) -> Self {
        Self { position: 0.0, playing: false, rate: 1.0, at, by: None }
    }

    /// The position at `now`.
    pub fn position_at(&self, now: Millis) -> f64 {
        if !self.playing {
            return self.position;
        }
        #[allow(clippy::cast_precision_loss, reason = "milliseconds since `at` are far below 2^53")]
        let elapsed = now.saturating_sub(self.at) as f64 / 1000.0;
        (self.position + elapsed * self.rate).min(MAX_POSITION)
    }

    /// Whether a position report of `user` counts at `now`.
    pub(super) fn trusts(&self, user: &UserId, now: Millis) -> bool {
        self.by.as_ref().is_none_or(|by| by == user) || now.saturating_sub(self.at) >= SETTLE
    }

    /// Whether a report of `position` and `playing` differs enough to be worth a change.
    pub(super) fn disagrees(&self, position: f64, playing: bool, now: Millis) -> bool {
        self.playing != playing || (self.position_at(now) - position).abs() > TOLERANCE
    }
}

/// The time of a URL change. Some clients send it in milliseconds, though every other time is in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum UrlTime {
    /// Seconds.
    Seconds(f64),
    /// Seconds or milliseconds.
    Unsaid(f64),
}

impl UrlTime {
    /// The time in seconds. Where the room knows a position on this page, the reading that is nearer to it is right; where it knows none,
    /// an unsaid unit is milliseconds.
    pub fn in_seconds(self, known: Option<f64>) -> f64 {
        let raw = match self {
            Self::Seconds(seconds) => return seconds,
            Self::Unsaid(raw) => raw,
        };
        let seconds = raw / 1000.0;
        match known {
            Some(known) if known > 0.0 && raw <= MAX_POSITION && (raw - known).abs() < (seconds - known).abs() => raw,
            _ => seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_only_while_playing() {
        let mut line = Timeline { position: 10.0, playing: true, rate: 2.0, ..Timeline::start(1_000) };
        assert!((line.position_at(2_500) - 13.0).abs() < 1e-9);
        assert!((line.position_at(0) - 10.0).abs() < 1e-9, "never before its own start");
        line.playing = false;
        assert!((line.position_at(99_000) - 10.0).abs() < 1e-9);
    }

    #[test]
    fn url_times_are_told_apart() {
        assert!((UrlTime::Seconds(2_269.3).in_seconds(Some(2.0)) - 2_269.3).abs() < 1e-9);
        assert!((UrlTime::Unsaid(310_347.98).in_seconds(Some(310.0)) - 310.347_98).abs() < 1e-9);
        assert!((UrlTime::Unsaid(310.3).in_seconds(Some(309.0)) - 310.3).abs() < 1e-9);
        assert!((UrlTime::Unsaid(2_269.3).in_seconds(None) - 2.269_3).abs() < 1e-9);
        // A live stream, in either unit, and what is too far to be seconds.
        for raw in [1_795_295_285_000.0, 1_795_295_285.0] {
            assert!((UrlTime::Unsaid(raw).in_seconds(Some(1_795_295_280.0)) - 1_795_295_285.0).abs() < 1e-3, "{raw}");
        }
        assert!((UrlTime::Unsaid(1.5e10).in_seconds(Some(1e10)) - 1.5e7).abs() < 1e-3);
    }
}
