use crate::telemetry::Label;

/// How a connection with TLS began, or one without it where it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsHandshake {
    /// Both sides have a key.
    Done,
    /// The client broke it off, trusts no certificate of this node, or speaks nothing that this node does.
    Failed,
    /// It had no TLS, and `TLS_ONLY` refused it.
    Plain,
}

impl Label for TlsHandshake {
    const KEY: &'static str = "outcome";
    const ALL: &'static [Self] = &[Self::Done, Self::Failed, Self::Plain];
    fn value(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Plain => "plain",
        }
    }
}

/// What became of a certificate that was put in the place of the one in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsReload {
    /// It is in use.
    Loaded,
    /// It cannot be used.
    Refused,
}

impl Label for TlsReload {
    const KEY: &'static str = "outcome";
    const ALL: &'static [Self] = &[Self::Loaded, Self::Refused];
    fn value(self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::Refused => "refused",
        }
    }
}
