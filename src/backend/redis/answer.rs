//! Translates errors of Redis and of the client library into [`BackendError`].

use redis::{ErrorKind, FromRedisValue, RedisError, Value};

use crate::backend::{BackendError, records::RecordError};

/// Converts an answer to the expected type.
pub(super) fn read<T: FromRedisValue>(value: Value) -> Result<T, BackendError> {
    T::from_redis_value(value).map_err(|error| corrupt("an answer of Redis", &error))
}

pub(super) fn corrupt(what: &str, why: &dyn std::fmt::Display) -> BackendError {
    BackendError::Corrupt { what: what.into(), why: why.to_string().into() }
}

/// The error for a record that no node of this release or an earlier one writes.
pub(super) fn unreadable(what: &str, error: &RecordError) -> BackendError {
    match error {
        RecordError::Newer { .. } => BackendError::Newer { what: what.into(), why: error.to_string().into() },
        _ => corrupt(what, error),
    }
}

/// Translates an error of the client library.
pub(super) fn translate(error: &RedisError) -> BackendError {
    if error.is_timeout() {
        return BackendError::Timeout;
    }
    let code = match error.kind() {
        // RESP2 has no error code for this.
        ErrorKind::AuthenticationFailed => Some("WRONGPASS"),
        _ => error.code(),
    };
    let Some(code) = code else { return BackendError::Unreachable(error.to_string()) };
    let detail = error.detail().map_or_else(|| error.to_string(), str::to_owned);
    match code {
        // The key has a value that no node wrote.
        "WRONGTYPE" => corrupt("a key of Redis", &detail),
        _ => BackendError::Refused { code: right(code, &detail).into(), words: format!("{code} {detail}").into() },
    }
}

/// Inside of a script a missing right has no error code of its own.
fn right<'a>(code: &'a str, detail: &str) -> &'a str {
    let within = detail.starts_with("The user executing the script") || detail.contains("ACL failure in script");
    if code == "ERR" && within { "NOPERM" } else { code }
}
