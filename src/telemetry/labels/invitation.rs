use crate::telemetry::Label;

/// Why an invitation was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvitationRefused {
    /// It was not signed by this deployment, or it is not what it signs.
    Invalid,
    /// It has expired.
    Expired,
    /// It was revoked.
    Revoked,
    /// It is for another room.
    OtherRoom,
    /// It has been used as often as it may be.
    Spent,
}

impl Label for InvitationRefused {
    const KEY: &'static str = "why";
    const ALL: &'static [Self] = &[Self::Invalid, Self::Expired, Self::Revoked, Self::OtherRoom, Self::Spent];
    fn value(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::OtherRoom => "other_room",
            Self::Spent => "spent",
        }
    }
}
