use super::MAX_TOKEN_BYTES;

/// Why a token is refused. The texts are for clients: they name the claim and nothing that is secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is longer than [`MAX_TOKEN_BYTES`].
    #[error("the token is longer than {MAX_TOKEN_BYTES} bytes")]
    TooLong,
    /// It is not three parts in base64url, or a part of it is no JSON object.
    #[error("the token is no JWT: {0}")]
    Malformed(&'static str),
    /// Its algorithm is none that this server knows, or not that of the key.
    #[error("alg: not the algorithm of the key")]
    Algorithm,
    /// It has extensions that have to be understood.
    #[error("crit: no extension is known here")]
    Critical,
    /// It is of another kind, such as an invitation.
    #[error("typ: not a token of this kind")]
    Kind,
    /// It names no key, and not exactly one could be meant.
    #[error("kid: missing, and not exactly one key has this algorithm")]
    KeyNotNamed,
    /// It names a key that is not known.
    #[error("kid: the key is not known")]
    UnknownKey,
    /// Keys have never been fetched, so it is not known whether the key exists.
    #[error("the keys could not be fetched yet; try again")]
    KeysAway,
    /// It has not been read yet what is revoked.
    #[error("it is not known yet what was revoked; try again")]
    RevocationsAway,
    /// The signature is not one of that key.
    #[error("the signature is wrong")]
    Signature,
    /// A claim cannot be read.
    #[error("{0}: not a value of this claim")]
    Claim(&'static str),
    /// A claim that has to be there is not.
    #[error("{0}: missing")]
    Missing(&'static str),
    /// It was issued by somebody else.
    #[error("iss: not an issuer that is accepted here")]
    Issuer,
    /// It is meant for somebody else.
    #[error("aud: the token is not meant for this server")]
    Audience,
    /// It has expired.
    #[error("exp: the token has expired")]
    Expired,
    /// It is not valid yet.
    #[error("nbf: the token is not valid yet")]
    NotYet,
    /// It was issued in the future.
    #[error("iat: the token was issued in the future")]
    Future,
    /// It is valid for longer than any token may be.
    #[error("exp: the token is valid for longer than this server allows")]
    Lifetime,
    /// It was revoked.
    #[error("the token was revoked")]
    Revoked,
    /// It is for other rooms.
    #[error("rooms: the token is not for this room")]
    Room,
}

impl TokenError {
    /// One of each kind, for metrics.
    pub const ALL: [Self; 20] = [
        Self::TooLong,
        Self::Malformed(""),
        Self::Algorithm,
        Self::Critical,
        Self::Kind,
        Self::KeyNotNamed,
        Self::UnknownKey,
        Self::KeysAway,
        Self::RevocationsAway,
        Self::Signature,
        Self::Claim(""),
        Self::Missing(""),
        Self::Issuer,
        Self::Audience,
        Self::Expired,
        Self::NotYet,
        Self::Future,
        Self::Lifetime,
        Self::Revoked,
        Self::Room,
    ];

    /// The label for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Malformed(_) => "malformed",
            Self::Algorithm => "algorithm",
            Self::Critical => "critical",
            Self::Kind => "kind",
            Self::KeyNotNamed => "key_not_named",
            Self::UnknownKey => "unknown_key",
            Self::KeysAway => "keys_away",
            Self::RevocationsAway => "revocations_away",
            Self::Signature => "signature",
            Self::Claim(_) => "claim",
            Self::Missing(_) => "missing",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Expired => "expired",
            Self::NotYet => "not_yet",
            Self::Future => "future",
            Self::Lifetime => "lifetime",
            Self::Revoked => "revoked",
            Self::Room => "other_room",
        }
    }

    /// Whether the same token may be accepted a moment later, without anybody issuing another one.
    pub fn is_temporary(self) -> bool {
        matches!(self, Self::KeysAway | Self::RevocationsAway | Self::NotYet | Self::Future)
    }
}
