use crate::telemetry::Label;

/// Why a signal did not reach its member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// The inbox of a member that is away was full. The oldest signals of whoever has most in it are dropped, and the member gets DISCONTINUITY
    /// when it resumes.
    InboxFull,
    /// The inbox did not fit into the outbox of the resumed member. The oldest signals are dropped, and the member gets DISCONTINUITY.
    OutboxFull,
    /// Too many arrived while the missed updates of a resume were being replayed. The member gets DISCONTINUITY.
    Held,
    /// Too many signals for members on other nodes wait on this node.
    TooManyStrays,
    /// The member is not in the room.
    Nobody,
    /// The signal could not be sent to the node of the member.
    Unsent,
}

impl Label for Dropped {
    const KEY: &'static str = "why";
    const ALL: &'static [Self] =
        &[Self::InboxFull, Self::OutboxFull, Self::Held, Self::TooManyStrays, Self::Nobody, Self::Unsent];
    fn value(self) -> &'static str {
        match self {
            Self::InboxFull => "inbox_full",
            Self::OutboxFull => "outbox_full",
            Self::Held => "held",
            Self::TooManyStrays => "too_many_strays",
            Self::Nobody => "nobody",
            Self::Unsent => "unsent",
        }
    }
}
