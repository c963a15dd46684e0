use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// Members call each other.
    Signal,
    /// Everything that users do in an evening.
    Party,
    /// All users lose their connections at once.
    Storm,
    /// Users leave and join.
    Churn,
    /// All nodes are restarted, one after the other.
    Drain,
    /// Some users stop reading.
    Slow,
    /// A long party.
    Soak,
}

/// What users do by themselves; `None`: never.
#[derive(Debug, Clone, Copy)]
pub(super) struct Behaviour {
    /// Everybody reports the position of the player.
    pub(super) position: Option<Duration>,
    /// The host reports it for all.
    pub(super) heartbeat: Option<Duration>,
    /// The host seeks.
    pub(super) seek: Option<Duration>,
    /// The host sends a numbered message to all.
    pub(super) chat: Option<Duration>,
    /// Bytes that such a message is padded with.
    pub(super) chat_bytes: usize,
    /// Guests reload the page: the connection breaks, and they resume.
    pub(super) reload: Option<Duration>,
    /// Guests leave and join again.
    pub(super) rejoin: Option<Duration>,
    /// Everybody calls everybody else.
    pub(super) calls: bool,
    /// The last member of each room stops reading.
    pub(super) stall: bool,
    /// The wait after a refused attempt to connect; it doubles with each further one.
    pub(super) backoff: Duration,
}

impl Behaviour {
    pub(super) const QUIET: Self = Self {
        position: None,
        heartbeat: None,
        seek: None,
        chat: None,
        chat_bytes: 40,
        reload: None,
        rejoin: None,
        calls: false,
        stall: false,
        backoff: Duration::from_millis(100),
    };
}

impl Scenario {
    pub(super) fn name(self) -> &'static str {
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

    pub(super) fn nodes(self) -> u32 {
        if self == Self::Drain { 2 } else { 1 }
    }

    /// Seconds over which a node closes its sockets when it stops: the default of tandem where that is measured.
    pub(super) fn drain_seconds(self) -> u32 {
        if self == Self::Drain { 10 } else { 1 }
    }

    pub(super) fn rooms(self) -> u32 {
        match self {
            Self::Storm => 250,
            Self::Slow => 10,
            _ => 50,
        }
    }

    /// Seconds by default.
    pub(super) fn seconds(self) -> u32 {
        if self == Self::Soak { 600 } else { 20 }
    }

    /// Rules of this scenario beside those of all.
    pub(super) fn rules(self) -> &'static [&'static str] {
        match self {
            Self::Drain => &["announced_left=0", "not_back=0", "discontinuities=0"],
            Self::Storm => &["announced_left=0", "not_back=0"],
            Self::Slow => &["given_up_share=1"],
            Self::Soak => &["rss_growth_percent<=10"],
            Self::Signal | Self::Party | Self::Churn => &[],
        }
    }

    pub(super) fn behaviour(self) -> Behaviour {
        let every = |seconds: f64| Some(Duration::from_secs_f64(seconds));
        let quiet = Behaviour { chat: every(1.0), heartbeat: every(5.0), ..Behaviour::QUIET };
        match self {
            Self::Party | Self::Soak => {
                Behaviour { position: every(0.5), seek: every(20.0), reload: every(60.0), calls: true, ..quiet }
            }
            Self::Signal => Behaviour { rejoin: every(10.0), calls: true, ..Behaviour::QUIET },
            Self::Churn => Behaviour { rejoin: every(5.0), chat: every(1.0), ..Behaviour::QUIET },
            Self::Storm => Behaviour { backoff: Duration::from_millis(200), ..quiet },
            Self::Drain => Behaviour { position: every(0.5), ..quiet },
            Self::Slow => Behaviour { chat: every(0.05), chat_bytes: 12_000, stall: true, ..Behaviour::QUIET },
        }
    }
}
