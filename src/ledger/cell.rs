//! The encoding of single values in columns. Column types are types here; [`Cell`] encodes a value for a column type, and [`ReadCell`]
//! decodes it.

use std::{borrow::Cow, sync::Arc};

use jiff::Timestamp;
use rusqlite::types::ToSql as ToSqlite;
use serde_json::value::RawValue;
use tokio_postgres::types::{ToSql as ToPostgres, Type};
use uuid::Uuid;

use super::{
    EventType,
    sql_value::{SqlId, SqlJson, SqlText, SqlTime},
};
use crate::{
    clock::Millis,
    id::{ConnId, NodeId, RoomId, UserId},
    room::{self, Digest, Role},
};

/// A type of columns.
pub(super) trait ColumnType {
    /// The type in PostgreSQL.
    const POSTGRES: &'static str;
    /// The same for the driver.
    const TYPE: Type;
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $postgres:literal $type:ident;)+) => {
        $(
            $(#[$doc])*
            pub(super) struct $name;

            impl ColumnType for $name {
                const POSTGRES: &'static str = $postgres;
                const TYPE: Type = Type::$type;
            }
        )+
    };
}

kinds! {
    Text = "text" TEXT;
    BigInt = "bigint" INT8;
    Double = "float8" FLOAT8;
    Boolean = "boolean" BOOL;
    /// In SQLite it is a text: ISO 8601 in UTC with milliseconds.
    Time = "timestamptz" TIMESTAMPTZ;
    /// In SQLite it is a text.
    Id = "uuid" UUID;
    /// In SQLite it is a text.
    Json = "json" JSON;
}

/// A value that can be written into a column of type `K`.
pub(super) trait Cell<K> {
    /// The form that the drivers of both databases take.
    type Sql<'a>: ToPostgres + ToSqlite + Send + Sync
    where
        Self: 'a;

    /// `None` if the column cannot hold the value.
    fn cell(&self) -> Option<Self::Sql<'_>>;
}

/// A value that can be read from a column of type `K`.
pub(super) trait ReadCell<K>: Sized {
    /// `None` if no process of tandem can have written the value.
    fn read<R: Source>(row: &R, column: &'static str) -> Result<Option<Self>, R::Error>;
}

/// A row as a driver returns it.
pub(super) trait Source {
    type Error;
    fn text(&self, column: &'static str) -> Result<Option<String>, Self::Error>;
    fn integer(&self, column: &'static str) -> Result<Option<i64>, Self::Error>;
    fn double(&self, column: &'static str) -> Result<f64, Self::Error>;
    fn boolean(&self, column: &'static str) -> Result<bool, Self::Error>;
    fn time(&self, column: &'static str) -> Result<Timestamp, Self::Error>;
    /// A time for people: ISO 8601 in UTC with milliseconds.
    fn iso(&self, column: &'static str) -> Result<String, Self::Error>;
    fn id(&self, column: &'static str) -> Result<String, Self::Error>;
    fn json(&self, column: &'static str) -> Result<Box<RawValue>, Self::Error>;
}

/// A value that is a text in both databases.
pub(super) trait TextValue: Sized {
    fn to_text(&self) -> Cow<'_, str>;
    fn parse(text: String) -> Option<Self>;
}

macro_rules! words {
    ($($type:ty: $word:expr, $parse:expr;)+) => {
        $(impl TextValue for $type {
            fn to_text(&self) -> Cow<'_, str> {
                let word: fn(&$type) -> Cow<'_, str> = $word;
                word(self)
            }

            fn parse(text: String) -> Option<Self> {
                let parse: fn(String) -> Option<$type> = $parse;
                parse(text)
            }
        })+
    };
}

words! {
    RoomId: |room| room.as_str().into(), |text| Self::parse(&text).ok();
    UserId: |user| user.as_str().into(), |text| Self::parse(&text).ok();
    NodeId: |node| node.as_str().into(), |text| Self::parse(&text).ok();
    ConnId: |conn| conn.to_string().into(), |text| text.parse().ok().map(Self);
    Digest: |digest| String::from(*digest).into(), |text| Self::try_from(text).ok();
    EventType: |kind| kind.as_str().into(), |text| Self::parse(&text);
    // A role of a later version counts as the weakest one.
    Role: |role| role_text(*role).into(), |text| Some(if text == "co-host" { Self::CoHost } else { Self::Member });
    String: |text| text.as_str().into(), Some;
    Box<str>: |text| text.as_ref().into(), |text| Some(text.into());
    Arc<str>: |text| text.as_ref().into(), |text| Some(text.into());
}

fn role_text(role: Role) -> &'static str {
    match role {
        Role::Member => "member",
        Role::CoHost => "co-host",
    }
}

impl<T: TextValue> Cell<Text> for T {
    type Sql<'a>
        = SqlText<'a>
    where
        Self: 'a;

    fn cell(&self) -> Option<SqlText<'_>> {
        Some(SqlText(self.to_text()))
    }
}

impl<T: TextValue> Cell<Text> for Option<T> {
    type Sql<'a>
        = Option<SqlText<'a>>
    where
        Self: 'a;

    fn cell(&self) -> Option<Option<SqlText<'_>>> {
        Some(self.as_ref().map(|value| SqlText(value.to_text())))
    }
}

impl<T: TextValue> ReadCell<Text> for T {
    fn read<R: Source>(row: &R, column: &'static str) -> Result<Option<Self>, R::Error> {
        Ok(row.text(column)?.and_then(T::parse))
    }
}

impl<T: TextValue> ReadCell<Text> for Option<T> {
    fn read<R: Source>(row: &R, column: &'static str) -> Result<Option<Self>, R::Error> {
        Ok(Some(row.text(column)?.and_then(T::parse)))
    }
}

impl Cell<BigInt> for u64 {
    type Sql<'a> = i64;

    fn cell(&self) -> Option<i64> {
        i64::try_from(*self).ok()
    }
}

impl Cell<BigInt> for Option<u64> {
    type Sql<'a> = Option<i64>;

    fn cell(&self) -> Option<Option<i64>> {
        self.as_ref().map(Cell::<BigInt>::cell).map_or(Some(None), |number| number.map(Some))
    }
}

impl ReadCell<BigInt> for u64 {
    fn read<R: Source>(row: &R, column: &'static str) -> Result<Option<Self>, R::Error> {
        Ok(row.integer(column)?.and_then(|number| Self::try_from(number).ok()))
    }
}

impl ReadCell<BigInt> for Option<u64> {
    fn read<R: Source>(row: &R, column: &'static str) -> Result<Option<Self>, R::Error> {
        Ok(Some(row.integer(column)?.and_then(|number| u64::try_from(number).ok())))
    }
}

impl Cell<Double> for f64 {
    type Sql<'a> = Self;

    fn cell(&self) -> Option<Self> {
        Some(*self)
    }
}

impl ReadCell<Double> for f64 {
    fn read<R: Source>(row: &R, column: &'static str) -> Result<Option<Self>, R::Error> {
        row.double(column).map(Some)
    }
}

impl Cell<Boolean> for bool {
    type Sql<'a> = Self;

    fn cell(&self) -> Option<Self> {
        Some(*self)
    }
}

impl ReadCell<Boolean> for bool {
    fn read<R: Source>(row: &R, column: &'static str) -> Result<Option<Self>, R::Error> {
        row.boolean(column).map(Some)
    }
}

impl Cell<Time> for Millis {
    type Sql<'a> = SqlTime;

    fn cell(&self) -> Option<SqlTime> {
        timestamp(*self).map(SqlTime)
    }
}

impl ReadCell<Time> for Millis {
    fn read<R: Source>(row: &R, column: &'static str) -> Result<Option<Self>, R::Error> {
        Ok(Self::try_from(row.time(column)?.as_millisecond()).ok())
    }
}

impl ReadCell<Time> for String {
    fn read<R: Source>(row: &R, column: &'static str) -> Result<Option<Self>, R::Error> {
        row.iso(column).map(Some)
    }
}

impl Cell<Id> for Uuid {
    type Sql<'a> = SqlId;

    fn cell(&self) -> Option<SqlId> {
        Some(SqlId(*self))
    }
}

impl ReadCell<Id> for String {
    fn read<R: Source>(row: &R, column: &'static str) -> Result<Option<Self>, R::Error> {
        row.id(column).map(Some)
    }
}

impl Cell<Json> for room::Json {
    type Sql<'a> = SqlJson<'a>;

    fn cell(&self) -> Option<SqlJson<'_>> {
        Some(SqlJson(&self.0))
    }
}

impl ReadCell<Json> for Box<RawValue> {
    fn read<R: Source>(row: &R, column: &'static str) -> Result<Option<Self>, R::Error> {
        row.json(column).map(Some)
    }
}

/// The time stamp, if the calendar includes it.
pub(super) fn timestamp(at: Millis) -> Option<Timestamp> {
    i64::try_from(at).ok().and_then(|at| Timestamp::from_millisecond(at).ok())
}

/// ISO 8601 in UTC with milliseconds.
pub(super) fn iso(at: Millis) -> String {
    iso_of(timestamp(at).unwrap_or_default())
}

pub(super) fn iso_of(at: Timestamp) -> String {
    format!("{at:.3}")
}
