use std::time::Duration;

use super::{Habits, Return};

/// What kind of evening it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Calls.
    Signal,
    /// Watching together.
    Party,
    /// Everybody loses the socket at once.
    Storm,
    /// Coming and going.
    Churn,
    /// Restarts of the nodes.
    Drain,
    /// Readers that stall.
    Slow,
    /// A long party.
    Soak,
}

impl Kind {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::Party => "party",
            Self::Storm => "storm",
            Self::Churn => "churn",
            Self::Drain => "drain",
            Self::Slow => "slow",
            Self::Soak => "soak",
        }
    }

    /// Nodes that are started when nothing else is said.
    pub(super) fn nodes(self) -> u32 {
        if matches!(self, Self::Drain) { 2 } else { 1 }
    }

    /// Seconds over which a node that is to end closes its sockets: where that is measured, as many as without a setting.
    pub(super) fn drain(self) -> u32 {
        if matches!(self, Self::Drain) { 10 } else { 1 }
    }

    /// Rooms when nothing else is said.
    pub(super) fn rooms(self) -> u32 {
        match self {
            Self::Storm => 250,
            Self::Slow => 10,
            _ => 50,
        }
    }

    /// Seconds under full load when nothing else is said.
    pub(super) fn seconds(self) -> u32 {
        if matches!(self, Self::Soak) { 600 } else { 20 }
    }

    /// What must hold beside what must always hold.
    pub(super) fn rules(self) -> &'static [&'static str] {
        match self {
            Self::Drain => &["announced_left=0", "not_back=0", "discontinuities=0"],
            Self::Storm => &["announced_left=0", "not_back=0"],
            Self::Slow => &["given_up_share=1"],
            Self::Soak => &["rss_growth_percent<=10"],
            Self::Signal | Self::Party | Self::Churn => &[],
        }
    }

    /// What everybody does.
    pub(super) fn habits(self) -> Habits {
        let every = |seconds: f64| Some(Duration::from_secs_f64(seconds));
        let quiet = Habits { chat: every(1.0), heartbeat: every(5.0), ..Habits::QUIET };
        let party = Habits { position: every(0.5), seek: every(20.0), reload: every(60.0), mesh: true, ..quiet };
        match self {
            Self::Party | Self::Soak => party,
            Self::Signal => Habits { rejoin: every(10.0), mesh: true, ..Habits::QUIET },
            Self::Churn => Habits { rejoin: every(5.0), chat: every(1.0), ..Habits::QUIET },
            Self::Storm => Habits { back: Return { backoff: Duration::from_millis(200) }, ..quiet },
            Self::Drain => Habits { position: every(0.5), ..quiet },
            Self::Slow => Habits { chat: every(0.05), chat_bytes: 12_000, stall: true, ..Habits::QUIET },
        }
    }
}
