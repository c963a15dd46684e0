//! Production code imports one way: each module of `src` only from modules above it in this table, and only from those that it names.

use super::{files, read};

/// Modules and what each may import, from the ones that know nothing to the one that knows everything.
const ALLOWED: &[(&str, &[&str])] = &[
    ("id", &[]),
    ("cbor", &[]),
    ("clock", &[]),
    ("text", &[]),
    ("headers", &[]),
    ("limit", &["clock"]),
    ("room", &["cbor", "clock", "id", "limit"]),
    ("protocol", &["clock", "id", "room", "text"]),
    ("auth", &["clock", "id", "limit", "room"]),
    ("token", &["clock", "id", "room", "text"]),
    ("config", &["auth", "clock", "id", "protocol", "room", "token"]),
    ("telemetry", &["config", "id", "protocol", "token"]),
    ("account", &["clock", "config", "id", "limit", "telemetry"]),
    ("ledger", &["cbor", "clock", "config", "id", "protocol", "room", "telemetry", "token"]),
    ("backend", &["clock", "config", "id", "ledger", "limit", "protocol", "room", "telemetry", "token"]),
    // Of `backend` what shared state says: outcomes and errors.
    ("replica", &["backend", "clock", "id", "protocol", "room"]),
    (
        "hub",
        &[
            "account",
            "backend",
            "clock",
            "config",
            "id",
            "ledger",
            "limit",
            "protocol",
            "replica",
            "room",
            "telemetry",
            "token",
        ],
    ),
    ("web", &["headers"]),
    ("tls", &["clock", "config", "telemetry"]),
    (
        "socket",
        &[
            "account",
            "auth",
            "clock",
            "config",
            "headers",
            "hub",
            "id",
            "limit",
            "protocol",
            "room",
            "telemetry",
            "token",
            "web",
        ],
    ),
    (
        "http",
        &[
            "account",
            "auth",
            "backend",
            "clock",
            "config",
            "headers",
            "hub",
            "id",
            "ledger",
            "limit",
            "room",
            "socket",
            "telemetry",
            "tls",
            "web",
        ],
    ),
    ("worker", &["backend", "clock", "config", "http", "ledger", "limit", "telemetry"]),
    (
        "node",
        &[
            "account",
            "auth",
            "backend",
            "clock",
            "config",
            "http",
            "hub",
            "id",
            "ledger",
            "limit",
            "protocol",
            "socket",
            "telemetry",
            "tls",
            "token",
        ],
    ),
    (
        "cli",
        &["auth", "backend", "clock", "config", "http", "id", "ledger", "node", "telemetry", "text", "token", "worker"],
    ),
];

/// Modules that decide and do nothing else, and the words that would give them an effect or a mood.
const PURE: &[&str] = &["room", "replica"];
const IMPURE: &[&str] = &[
    "tokio",
    "async fn",
    ".await",
    "Instant",
    "SystemTime",
    "rand::",
    "Uuid::new",
    "Mutex",
    "RwLock",
    "OnceLock",
    "Atomic",
    "tracing::",
    "Metrics",
];

/// A word of a file, and the number of its line.
struct Import {
    line: usize,
    module: String,
}

/// The source without comments and without its unit tests, which stand at its end.
pub fn production(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
    let lines = text[..end].lines().map(|line| line.find("//").map_or(line, |at| &line[..at]));
    lines.collect::<Vec<_>>().join("\n")
}

/// The modules after each `crate::`: one, or a group.
fn imports(source: &str) -> Vec<Import> {
    let mut found = Vec::new();
    for (at, word) in source.match_indices("crate::") {
        let start = at + word.len();
        let (mut depth, mut fresh) = (0, true);
        for (offset, char) in source[start..].char_indices() {
            match char {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => fresh = true,
                _ if fresh && depth <= 1 && char.is_alphanumeric() => {
                    let rest = &source[start + offset..];
                    let end = rest.find(|char: char| !char.is_alphanumeric() && char != '_').unwrap_or(rest.len());
                    let line = source[..start + offset].matches('\n').count() + 1;
                    found.push(Import { line, module: rest[..end].to_owned() });
                    fresh = false;
                }
                _ => {}
            }
            if depth == 0 && !fresh {
                break;
            }
        }
    }
    found
}

/// `src/room/decide.rs` is of `room`, as is `src/room.rs`. What has no module of its own (`lib.rs`, `main.rs`) has no rule.
fn module_of(file: &str) -> Option<&str> {
    let name = file.strip_prefix("src/")?.split('/').next()?.trim_end_matches(".rs");
    (!["lib", "main"].contains(&name)).then_some(name)
}

/// The violations in a source, one line for each.
fn broken(file: &str, text: &str) -> Vec<String> {
    let Some(own) = module_of(file) else { return Vec::new() };
    let Some((_, allowed)) = ALLOWED.iter().find(|(module, _)| *module == own) else {
        return vec![format!("{file}: the module `{own}` is not in the table of tests/house/imports.rs")];
    };
    let source = production(text);
    let mut broken = Vec::new();
    for Import { line, module } in imports(&source) {
        let known = ALLOWED.iter().any(|(known, _)| *known == module);
        if known && module != own && !allowed.contains(&module.as_str()) {
            broken.push(format!("{file}:{line}: `{own}` must not import `{module}`; it may import {allowed:?}"));
        }
    }
    if PURE.contains(&own) {
        for (number, line) in source.lines().enumerate() {
            for word in IMPURE.iter().filter(|word| line.contains(**word)) {
                broken.push(format!("{file}:{}: `{own}` is pure and must not use `{word}`", number + 1));
            }
        }
    }
    broken
}

#[test]
fn production_code_imports_one_way() {
    let files = files("src", ".rs");
    let broken: Vec<String> = files.iter().flat_map(|file| broken(file, &read(file))).collect();
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn the_table_points_one_way() {
    for (place, (module, allowed)) in ALLOWED.iter().enumerate() {
        for import in *allowed {
            let above = ALLOWED[..place].iter().any(|(known, _)| known == import);
            assert!(above, "`{import}` is not above `{module}`");
        }
    }
}

/// The rule finds violations.
#[test]
fn a_wrong_import_is_found_wherever_it_stands() {
    let wrong = |file: &str, text: &str| broken(file, text).join("\n");
    let nested =
        "use std::fmt;\nuse crate::{\n    clock::{Clock, Millis},\n    hub::{Hub, error},\n    id::RoomId,\n};\n";
    assert_eq!(imports(nested).iter().map(|import| import.module.as_str()).collect::<Vec<_>>(), ["clock", "hub", "id"]);
    assert!(wrong("src/room/decide.rs", nested).starts_with("src/room/decide.rs:4: `room` must not import `hub`"));
    assert!(wrong("src/backend/mod.rs", "fn f() -> crate::hub::Hub {}").contains("`backend` must not import `hub`"));
    assert!(wrong("src/protocol/kind.rs", "use crate::socket::Session;").contains("must not import `socket`"));
    assert!(
        wrong("src/room/due.rs", "use tokio::time::sleep;").contains(":1: `room` is pure and must not use `tokio`")
    );
    assert!(wrong("src/new/mod.rs", "").contains("`new` is not in the table"));
    // Comments, unit tests and the module itself are free.
    let free = "//! See crate::hub.\nuse crate::room::Room; // crate::node\n#[cfg(test)]\nmod tests {\n    use crate::hub;\n}\n";
    assert_eq!(wrong("src/room/mod.rs", free), "");
    assert_eq!(wrong("src/lib.rs", "use crate::cli;"), "");
}
