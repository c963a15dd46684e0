use crate::telemetry::Label;

/// Why a connection was closed for its PROXY header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeaderFault {
    /// A peer that is not in `PROXY_PROTOCOL_FROM` has sent one.
    Untrusted,
    /// A peer that is in it has sent none.
    Missing,
    /// It is none that the protocol knows.
    Malformed,
    /// The connection ended within it.
    Cut,
    /// It did not come whole in `HEADER_TIMEOUT_SECONDS`.
    Slow,
}

impl Label for ProxyHeaderFault {
    const KEY: &'static str = "reason";
    const ALL: &'static [Self] = &[Self::Untrusted, Self::Missing, Self::Malformed, Self::Cut, Self::Slow];
    fn value(self) -> &'static str {
        match self {
            Self::Untrusted => "untrusted",
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Cut => "cut",
            Self::Slow => "slow",
        }
    }
}
