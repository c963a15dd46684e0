use std::time::Duration;

/// How somebody who lost the socket comes back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Return {
    /// Where an attempt was refused, the next is this much later, doubled each time, up to [`Return::LONGEST`], and spread.
    pub(crate) backoff: Duration,
}

impl Return {
    /// The longest wait between two tries.
    pub(crate) const LONGEST: Duration = Duration::from_secs(5);
}

/// What members do by themselves. `None`: never.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Habits {
    /// Everybody says where the player is.
    pub(crate) position: Option<Duration>,
    /// The host says it for all.
    pub(crate) heartbeat: Option<Duration>,
    /// The host seeks.
    pub(crate) seek: Option<Duration>,
    /// The host sends a numbered message to all.
    pub(crate) chat: Option<Duration>,
    /// Bytes that such a message carries along.
    pub(crate) chat_bytes: usize,
    /// Guests load their page anew: the socket breaks, and they come back.
    pub(crate) reload: Option<Duration>,
    /// Guests leave, and come anew.
    pub(crate) rejoin: Option<Duration>,
    /// Everybody connects to everybody else: an offer, an answer, and candidates both ways.
    pub(crate) mesh: bool,
    /// The last member of each room stops reading.
    pub(crate) stall: bool,
    /// How somebody comes back.
    pub(crate) back: Return,
}

impl Habits {
    /// Somebody who does nothing.
    pub(crate) const QUIET: Self = Self {
        position: None,
        heartbeat: None,
        seek: None,
        chat: None,
        chat_bytes: 40,
        reload: None,
        rejoin: None,
        mesh: false,
        stall: false,
        back: Return { backoff: Duration::from_millis(100) },
    };
}
