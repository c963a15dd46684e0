use crate::{telemetry::Label, token::TokenError};

/// Why a token was refused, or a client that showed none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRefused {
    /// There was none, and everybody needs one.
    NoToken,
    /// There were two that are not the same one.
    Disagree,
    /// It is in the URL.
    InUrl,
    /// It is somebody else's.
    OtherUser,
    /// It does not allow to join.
    NoRight,
    /// Its user has as many sockets as one may have.
    Exceeded,
    /// It is not valid, or not for this room.
    Token(TokenError),
}

const TOKENS: usize = TokenError::ALL.len();

impl Label for TokenRefused {
    const KEY: &'static str = "why";
    #[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
    const ALL: &'static [Self] = &{
        let mut all = [Self::NoToken; TOKENS + 6];
        all[1] = Self::Disagree;
        all[2] = Self::OtherUser;
        all[3] = Self::NoRight;
        all[4] = Self::InUrl;
        all[5] = Self::Exceeded;
        let mut place = 0;
        while place < TOKENS {
            all[place + 6] = Self::Token(TokenError::ALL[place]);
            place += 1;
        }
        all
    };
    fn value(self) -> &'static str {
        match self {
            Self::NoToken => "no_token",
            Self::Disagree => "disagree",
            Self::InUrl => "in_url",
            Self::OtherUser => "other_user",
            Self::NoRight => "no_right",
            Self::Exceeded => "exceeded",
            Self::Token(error) => error.label(),
        }
    }
    fn place(self) -> usize {
        Self::ALL.iter().position(|it| it.value() == self.value()).unwrap_or(0)
    }
}
