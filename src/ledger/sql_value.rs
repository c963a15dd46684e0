//! Values for the drivers of both databases, where their types differ.

use std::error::Error;

use bytes::BytesMut;
use jiff::Timestamp;
use rusqlite::types::{ToSql as ToSqlite, ToSqlOutput};
use serde_json::value::RawValue;
use tokio_postgres::types::{IsNull, Json, ToSql as ToPostgres, Type, to_sql_checked};
use uuid::Uuid;

use super::cell::iso_of;

/// A time: `timestamptz` in PostgreSQL, a text in SQLite.
#[derive(Debug)]
pub(super) struct SqlTime(pub(super) Timestamp);

/// A UUID: `uuid` in PostgreSQL, a text in SQLite.
#[derive(Debug)]
pub(super) struct SqlId(pub(super) Uuid);

/// JSON: `jsonb` in PostgreSQL, a text in SQLite.
#[derive(Debug)]
pub(super) struct SqlJson<'a>(Json<&'a RawValue>);

impl<'a> SqlJson<'a> {
    pub(super) fn new(json: &'a RawValue) -> Self {
        Self(Json(json))
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
        Ok(self.0.0.get().into())
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
    SqlTime as Timestamp;
    SqlId as Uuid;
    SqlJson<'_> as Json<&RawValue>;
}
