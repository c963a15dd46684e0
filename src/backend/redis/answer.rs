//! What the client library and Redis say, as one of our own errors.

use redis::{ErrorKind, FromRedisValue, RedisError, Value};

use crate::backend::{BackendError, records::RecordError};

/// Reads an answer as what was asked for.
pub(super) fn read<T: FromRedisValue>(value: Value) -> Result<T, BackendError> {
    T::from_redis_value(value).map_err(|error| corrupt("an answer of Redis", &error))
}

pub(super) fn corrupt(what: &str, why: &dyn std::fmt::Display) -> BackendError {
    BackendError::Corrupt { what: what.into(), why: why.to_string().into() }
}

/// A record is not what a node of this release or an earlier one writes.
pub(super) fn unreadable(what: &str, error: &RecordError) -> BackendError {
    match error {
        RecordError::Newer { .. } => BackendError::Newer { what: what.into(), why: error.to_string().into() },
        _ => corrupt(what, error),
    }
}

/// What has gone wrong.
pub(super) fn translate(error: &RedisError) -> BackendError {
    if error.is_timeout() {
        return BackendError::Timeout;
    }
    let code = match error.kind() {
        // The older protocol's word for what the newer one gives a code to.
        ErrorKind::AuthenticationFailed => Some("WRONGPASS"),
        _ => error.code(),
    };
    let Some(code) = code else { return BackendError::Unreachable(error.to_string()) };
    let detail = error.detail().map_or_else(|| error.to_string(), str::to_owned);
    match code {
        // Somebody else has written to a key of ours.
        "WRONGTYPE" => corrupt("a key of Redis", &detail),
        _ => BackendError::Refused { code: right(code, &detail).into(), words: format!("{code} {detail}").into() },
    }
}

/// Within a script a missing right has no code of its own.
fn right<'a>(code: &'a str, detail: &str) -> &'a str {
    let within = detail.starts_with("The user executing the script") || detail.contains("ACL failure in script");
    if code == "ERR" && within { "NOPERM" } else { code }
}
