//! How values look in columns, whatever the database.

use jiff::Timestamp;

use crate::{clock::Millis, room::Role};

/// A moment, if the calendar has it.
pub(super) fn timestamp(at: Millis) -> Option<Timestamp> {
    i64::try_from(at).ok().and_then(|at| Timestamp::from_millisecond(at).ok())
}

/// ISO 8601 in UTC with milliseconds.
pub(super) fn iso(at: Millis) -> String {
    iso_of(timestamp(at).unwrap_or_default())
}

/// As [`iso`].
pub(super) fn iso_of(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// `users.role`.
pub(super) fn role(role: Role) -> &'static str {
    match role {
        Role::Member => "member",
        Role::CoHost => "co-host",
    }
}
