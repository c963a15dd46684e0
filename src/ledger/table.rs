//! The columns of rows. Each row of the ledger lists its columns once, with [`columns!`]; the statements of both databases, the arrays for
//! PostgreSQL, the parameters for SQLite and the readers follow from that list.

use bytes::{BufMut as _, BytesMut};
use tokio_postgres::types::{IsNull, ToSql, Type};

use super::cell::Source;

/// A column of a table.
#[derive(Debug)]
pub(super) struct Column {
    /// The name, the same in both databases.
    pub(super) name: &'static str,
    /// The type in PostgreSQL.
    pub(super) kind: &'static str,
}

/// A row with a list of columns.
pub(super) trait Table {
    const COLUMNS: &'static [Column];
}

/// The values of one column for many rows, in the form for PostgreSQL.
pub(super) type Array<'a> = Box<dyn ToSql + Send + Sync + 'a>;

/// A row that can be written.
pub(super) trait Written: Table {
    /// Binds the columns to the first parameters of a statement of SQLite, in the order of the list.
    fn bind(&self, statement: &mut rusqlite::Statement<'_>) -> rusqlite::Result<()>;

    /// Appends the columns as a row of `COPY ... (FORMAT binary)`, in the order of the list.
    fn copy(&self, out: &mut BytesMut) -> Result<(), OutOfRange>;

    /// The columns of many rows, in the order of the list. A missing row is NULL in each of them.
    fn arrays<'a>(rows: &[Option<&'a Self>]) -> Result<Vec<Array<'a>>, OutOfRange>;
}

/// A row that can be read.
pub(super) trait Stored: Sized {
    /// The fields without a column, in the order of the list.
    type Beside;

    /// `None` for a row that no process of tandem can have written.
    fn read<R: Source>(row: &R, beside: Self::Beside) -> Result<Option<Self>, R::Error>;
}

/// A value that its column cannot hold.
#[derive(Debug, thiserror::Error)]
#[error("{0} is out of range")]
pub(super) struct OutOfRange(pub(super) &'static str);

impl From<OutOfRange> for rusqlite::Error {
    fn from(error: OutOfRange) -> Self {
        Self::ToSqlConversionFailure(Box::new(error))
    }
}

/// Lists the columns of a row: the field, the name of the column, and its type (one of those in [`super::cell`]). Fields without a column
/// are listed behind `beside`; the reader of a row supplies their values. A field that is in neither list does not compile.
macro_rules! columns {
    (write and read $($list:tt)*) => {
        columns!(@names $($list)*);
        columns!(@write $($list)*);
        columns!(@read $($list)*);
    };
    (write $($list:tt)*) => {
        columns!(@names $($list)*);
        columns!(@write $($list)*);
    };
    (read $($list:tt)*) => {
        columns!(@names $($list)*);
        columns!(@read $($list)*);
    };
    (@names $row:ident { $($field:ident => $column:literal $kind:ident,)+ } $(beside { $($other:ident: $type:ty,)+ })?) => {
        impl $crate::ledger::table::Table for $row {
            const COLUMNS: &'static [$crate::ledger::table::Column] = &[$($crate::ledger::table::Column {
                name: $column,
                kind: <$crate::ledger::cell::$kind as $crate::ledger::cell::ColumnType>::POSTGRES,
            }),+];
        }
    };
    (@write $row:ident { $($field:ident => $column:literal $kind:ident,)+ } $(beside { $($other:ident: $type:ty,)+ })?) => {
        impl $crate::ledger::table::Written for $row {
            fn bind(&self, statement: &mut rusqlite::Statement<'_>) -> rusqlite::Result<()> {
                let Self { $($field,)+ $($($other: _,)+)? } = self;
                let mut place = 0_usize;
                $(
                    let value = $crate::ledger::cell::Cell::<$crate::ledger::cell::$kind>::cell($field);
                    place += 1;
                    statement.raw_bind_parameter(place, value.ok_or($crate::ledger::table::OutOfRange($column))?)?;
                )+
                Ok(())
            }

            fn copy(&self, out: &mut bytes::BytesMut) -> Result<(), $crate::ledger::table::OutOfRange> {
                let count = i16::try_from(<Self as $crate::ledger::table::Table>::COLUMNS.len());
                bytes::BufMut::put_i16(out, count.map_err(|_| $crate::ledger::table::OutOfRange("the row"))?);
                let Self { $($field,)+ $($($other: _,)+)? } = self;
                $(
                    let value = $crate::ledger::cell::Cell::<$crate::ledger::cell::$kind>::cell($field);
                    let kind = <$crate::ledger::cell::$kind as $crate::ledger::cell::ColumnType>::TYPE;
                    value
                        .and_then(|value| $crate::ledger::table::copy_value(&value, &kind, out))
                        .ok_or($crate::ledger::table::OutOfRange($column))?;
                )+
                Ok(())
            }

            fn arrays<'a>(
                rows: &[Option<&'a Self>],
            ) -> Result<Vec<$crate::ledger::table::Array<'a>>, $crate::ledger::table::OutOfRange> {
                $(let mut $field = Vec::with_capacity(rows.len());)+
                for row in rows {
                    $(
                        let value = |row: &'a Self| {
                            $crate::ledger::cell::Cell::<$crate::ledger::cell::$kind>::cell(&row.$field)
                                .ok_or($crate::ledger::table::OutOfRange($column))
                        };
                        $field.push(row.map(value).transpose()?);
                    )+
                }
                Ok(vec![$(Box::new($field)),+])
            }
        }
    };
    (@read $row:ident { $($field:ident => $column:literal $kind:ident,)+ } $(beside { $($other:ident: $type:ty,)+ })?) => {
        impl $crate::ledger::table::Stored for $row {
            type Beside = ($($($type,)+)?);

            fn read<R: $crate::ledger::cell::Source>(
                row: &R,
                ($($($other,)+)?): Self::Beside,
            ) -> Result<Option<Self>, R::Error> {
                $(
                    let Some($field) =
                        $crate::ledger::cell::ReadCell::<$crate::ledger::cell::$kind>::read(row, $column)?
                    else {
                        return Ok(None);
                    };
                )+
                Ok(Some(Self { $($field,)+ $($($other,)+)? }))
            }
        }
    };
}
pub(super) use columns;

/// Appends a value as `COPY ... (FORMAT binary)` has it: its length, and the value. `None` for a value that cannot be encoded.
pub(super) fn copy_value(value: &impl ToSql, kind: &Type, out: &mut BytesMut) -> Option<()> {
    let begin = out.len();
    // That of NULL.
    out.put_i32(-1);
    if let IsNull::No = value.to_sql(kind, out).ok()? {
        let length = i32::try_from(out.len() - begin - size_of::<i32>()).ok()?;
        out.get_mut(begin..)?.as_mut().put_i32(length);
    }
    Some(())
}

/// The names of all columns, for a statement.
pub(super) fn names<T: Table>() -> String {
    listed(T::COLUMNS.iter().map(|column| format!("\"{}\"", column.name)))
}

/// The first parameters of a statement of SQLite, one for each column.
pub(super) fn parameters<T: Table>() -> String {
    listed((1..=T::COLUMNS.len()).map(|place| format!("?{place}")))
}

/// The first parameters of a statement of PostgreSQL, an array for each column.
pub(super) fn arrays<T: Table>() -> String {
    listed((1..).zip(T::COLUMNS).map(|(place, column)| format!("${place}::{}[]", column.kind)))
}

/// The number of the parameter of a column.
pub(super) fn place<T: Table>(name: &str) -> usize {
    T::COLUMNS.iter().take_while(|column| column.name != name).count() + 1
}

/// Assignments to all columns except `but`, as in `ON CONFLICT DO UPDATE SET`. `to` gives the new value for the place and the name of a
/// column.
pub(super) fn assignments<T: Table>(but: &[&str], to: impl Fn(usize, &str) -> String) -> String {
    let columns = (1..).zip(T::COLUMNS).filter(|(_, column)| !but.contains(&column.name));
    listed(columns.map(|(place, column)| format!("\"{}\" = {}", column.name, to(place, column.name))))
}

fn listed(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        ledger::{Event, EventRow, RoomRow, sqlite},
        room::Member,
    };

    /// A column of the schema that no row has is never written; the other way round no statement works.
    #[test]
    fn lists_are_those_of_the_schema() {
        let folder = tempfile::tempdir().unwrap();
        let db = sqlite::open(&folder.path().join("ledger.db")).unwrap();
        // What a list does not have is written by statements of its own, as the databases have different rules for it.
        for (table, list, more) in [
            ("room_events", Event::COLUMNS, &[][..]),
            ("room_events", EventRow::COLUMNS, &[]),
            ("rooms", RoomRow::COLUMNS, &["created_at", "archived_at"]),
            ("users", Member::COLUMNS, &["room_id", "created_at", "updated_at", "left_at"]),
        ] {
            let mut columns = db.prepare("SELECT name FROM pragma_table_info(?1)").unwrap();
            let columns = columns.query_map([table], |row| row.get(0)).unwrap();
            let columns: BTreeSet<String> = columns.collect::<Result<_, _>>().unwrap();
            let known: Vec<&str> = list.iter().map(|column| column.name).chain(more.iter().copied()).collect();
            assert_eq!(columns, known.iter().map(ToString::to_string).collect(), "{table}");
            assert_eq!(known.len(), columns.len(), "a column is listed twice: {known:?}");
        }
    }
}
