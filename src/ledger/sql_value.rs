//! Values for the drivers of both databases, where their types differ.

use std::{borrow::Cow, error::Error};

use bytes::{BufMut as _, BytesMut};
use jiff::Timestamp;
use rusqlite::types::{ToSql as ToSqlite, ToSqlOutput};
use serde_json::value::RawValue;
use tokio_postgres::types::{IsNull, Json, ToSql as ToPostgres, Type, to_sql_checked};
use uuid::Uuid;

use super::{cell::iso_of, without_nul};

/// A text. PostgreSQL cannot store U+0000, so it gets U+FFFD in its place.
#[derive(Debug)]
pub(super) struct SqlText<'a>(pub(super) Cow<'a, str>);

/// A time: `timestamptz` in PostgreSQL, a text in SQLite.
#[derive(Debug)]
pub(super) struct SqlTime(pub(super) Timestamp);

/// A UUID: `uuid` in PostgreSQL, a text in SQLite.
#[derive(Debug)]
pub(super) struct SqlId(pub(super) Uuid);

/// JSON: `json` in PostgreSQL, with U+FFFD for U+0000 as in [`SqlText`]; a text in SQLite.
#[derive(Debug)]
pub(super) struct SqlJson<'a>(pub(super) &'a RawValue);

impl ToSqlite for SqlText<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.as_ref().into())
    }
}

impl ToSqlite for SqlTime {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(iso_of(self.0).into())
    }
}

impl ToSqlite for SqlId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.to_string().into())
    }
}

impl ToSqlite for SqlJson<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.get().into())
    }
}

/// PostgreSQL takes the inner value.
macro_rules! inner {
    ($($type:ty as $inner:ty;)+) => {
        $(impl ToPostgres for $type {
            fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
                self.0.to_sql(kind, out)
            }

            fn accepts(kind: &Type) -> bool {
                <$inner as ToPostgres>::accepts(kind)
            }

            to_sql_checked!();
        })+
    };
}

inner! {
    SqlId as Uuid;
}

/// 2000-01-01, from which PostgreSQL counts, in microseconds since 1970.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

/// The driver's own way over a difference of timestamps takes a twentieth of all that a worker does.
impl ToPostgres for SqlTime {
    fn to_sql(&self, _kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_i64(self.0.as_microsecond() - POSTGRES_EPOCH);
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        <Timestamp as ToPostgres>::accepts(kind)
    }

    to_sql_checked!();
}

impl ToPostgres for SqlText<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let tidy = self.0.contains('\0').then(|| self.0.replace('\0', "\u{FFFD}"));
        ToPostgres::to_sql(&tidy.as_deref().unwrap_or(&self.0), kind, out)
    }

    fn accepts(kind: &Type) -> bool {
        <&str as ToPostgres>::accepts(kind)
    }

    to_sql_checked!();
}

impl ToPostgres for SqlJson<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let tidy = without_nul(self.0.get()).and_then(|json| RawValue::from_string(json).ok());
        Json(tidy.as_deref().unwrap_or(self.0)).to_sql(kind, out)
    }

    fn accepts(kind: &Type) -> bool {
        <Json<&RawValue> as ToPostgres>::accepts(kind)
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_the_driver_writes_it() {
        for milliseconds in [0, 946_684_800_000, 946_684_799_999, 1_795_000_000_123, 253_402_207_200_000] {
            let time = Timestamp::from_millisecond(milliseconds).unwrap();
            let (mut ours, mut theirs) = (BytesMut::new(), BytesMut::new());
            ToPostgres::to_sql(&SqlTime(time), &Type::TIMESTAMPTZ, &mut ours).unwrap();
            ToPostgres::to_sql(&time, &Type::TIMESTAMPTZ, &mut theirs).unwrap();
            assert_eq!(ours, theirs, "{time}");
        }
    }
}
