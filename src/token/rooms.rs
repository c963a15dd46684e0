use std::{fmt, sync::Arc};

use super::TokenError;
use crate::id::RoomId;

/// The maximum number of entries in the claim `rooms`.
const MOST_ENTRIES: usize = 64;

/// The rooms that a token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rooms {
    /// Every room: the token has neither the claim `room` nor `rooms`, or `rooms` contains `*`.
    Every,
    /// Those that fit an entry.
    Some(Arc<[RoomPattern]>),
}

/// An entry of the claim `rooms`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomPattern {
    /// This room.
    Exact(RoomId),
    /// Rooms whose id begins so.
    Prefix(Box<str>),
}

impl Rooms {
    /// From the claims: `room` is one room, by the letter; in `rooms` a star at the end of an entry stands for anything.
    pub(super) fn of_claims(room: Option<&str>, rooms: Option<&[String]>) -> Result<Self, TokenError> {
        if room.is_none() && rooms.is_none() {
            return Ok(Self::Every);
        }
        let entries = rooms.unwrap_or_default();
        if entries.len() > MOST_ENTRIES {
            return Err(TokenError::Claim("rooms"));
        }
        let exact =
            |text: &str, claim| RoomId::parse(text).map(RoomPattern::Exact).map_err(|_| TokenError::Claim(claim));
        let mut patterns = Vec::new();
        for entry in entries {
            patterns.push(match entry.strip_suffix('*') {
                Some("") => return Ok(Self::Every),
                // A prefix has the bounds of an id, too.
                Some(prefix) => RoomId::parse(prefix)
                    .map(|prefix| RoomPattern::Prefix(prefix.as_str().into()))
                    .map_err(|_| TokenError::Claim("rooms"))?,
                None => exact(entry, "rooms")?,
            });
        }
        patterns.extend(room.map(|room| exact(room, "room")).transpose()?);
        Ok(Self::Some(patterns.into()))
    }

    /// This room alone.
    pub fn only(room: RoomId) -> Self {
        Self::Some([RoomPattern::Exact(room)].into())
    }

    /// Whether the token is for this room.
    pub fn allow(&self, room: &RoomId) -> bool {
        match self {
            Self::Every => true,
            Self::Some(patterns) => patterns.iter().any(|pattern| match pattern {
                RoomPattern::Exact(exact) => exact == room,
                RoomPattern::Prefix(prefix) => room.as_str().starts_with(&**prefix),
            }),
        }
    }

    /// The room, if it is exactly one: then a client need not name it.
    pub fn single(&self) -> Option<&RoomId> {
        match self {
            Self::Some(patterns) => match &**patterns {
                [RoomPattern::Exact(room)] => Some(room),
                _ => None,
            },
            Self::Every => None,
        }
    }
}

impl fmt::Display for Rooms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every => f.write_str("every room"),
            Self::Some(patterns) if patterns.is_empty() => f.write_str("no room"),
            Self::Some(patterns) => {
                let names: Vec<_> = patterns.iter().map(ToString::to_string).collect();
                f.write_str(&names.join(", "))
            }
        }
    }
}

impl fmt::Display for RoomPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(room) => write!(f, "{room:?}"),
            Self::Prefix(prefix) => write!(f, "{prefix:?} and what follows"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rooms(room: Option<&str>, rooms: Option<&[&str]>) -> Result<Rooms, TokenError> {
        let entries = rooms.map(|entries| entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>());
        Rooms::of_claims(room, entries.as_deref())
    }

    #[test]
    fn rooms_are_exact_or_begin_so() {
        for (room, entries, yes, no) in [
            (None, None, &["a", "x*"][..], &[][..]),
            (None, Some(&["*"][..]), &["a"], &[]),
            (None, Some(&[]), &[], &["a", ""]),
            (Some("film"), None, &["film"], &["film2", "fil", "film*", "Film"]),
            (Some("film*"), None, &["film*"], &["film", "film2"]),
            (None, Some(&["team-*", "lobby"]), &["team-", "team-1", "lobby"], &["team", "lobby1", "my-team-1"]),
            (Some("a"), Some(&["b"]), &["a", "b"], &["c"]),
        ] {
            let rooms = rooms(room, entries).unwrap();
            let allows = |id: &&str| RoomId::parse(id).is_ok_and(|id| rooms.allow(&id));
            assert!(yes.iter().all(allows), "{rooms}");
            assert!(!no.iter().any(allows), "{rooms}");
        }
        for wrong in [&[""][..], &["a\n"], &[&"x".repeat(129)], &["x"; 65]] {
            assert_eq!(rooms(None, Some(wrong)), Err(TokenError::Claim("rooms")));
        }
        assert_eq!(rooms(Some(""), None), Err(TokenError::Claim("room")));
    }

    #[test]
    fn one_room_need_not_be_named() {
        let single = |room, entries| rooms(room, entries).unwrap().single().map(|room| room.as_str().to_owned());
        assert_eq!(single(Some("a"), None).as_deref(), Some("a"));
        assert_eq!(single(None, Some(&["a"])).as_deref(), Some("a"));
        assert_eq!(single(None, Some(&["a*"])), None);
        assert_eq!(single(Some("a"), Some(&["b"])), None);
        assert_eq!(single(None, None), None);
    }
}
