//! The schemas of both databases are folders of SQL files, `0001_name.sql` and so on. Migrations only go forward, and a released one never
//! changes. A new file is applied without further registration.

use include_dir::{Dir, include_dir};

static POSTGRES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/schema/postgres");
static SQLITE: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/schema/sqlite");

/// One migration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Migration {
    pub(super) number: i32,
    /// The name of its file, without the extension.
    pub(super) name: &'static str,
    pub(super) sql: &'static str,
}

pub(super) fn postgres() -> Vec<Migration> {
    all(&POSTGRES)
}

pub(super) fn sqlite() -> Vec<Migration> {
    all(&SQLITE)
}

/// All migrations, in order. A test checks that no file is left out.
fn all(folder: &'static Dir<'static>) -> Vec<Migration> {
    let migration = |file: &'static include_dir::File<'static>| {
        let name = file.path().file_stem()?.to_str()?;
        Some(Migration { number: name.split_once('_')?.0.parse().ok()?, name, sql: file.contents_utf8()? })
    };
    let mut all: Vec<Migration> = folder.files().filter_map(migration).collect();
    all.sort_by_key(|migration| migration.number);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_one_of_them_and_numbers_have_no_gap() {
        for folder in [&POSTGRES, &SQLITE] {
            let all = all(folder);
            assert_eq!(all.len(), folder.entries().len(), "{all:?}");
            assert!(!all.is_empty());
            for (number, migration) in (1..).zip(all) {
                assert_eq!(migration.number, number);
                assert!(migration.name.starts_with(&format!("{number:04}_")), "{migration:?}");
            }
        }
    }
}
