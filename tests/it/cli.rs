//! The command line.

use std::collections::{BTreeMap, BTreeSet};

use tandem_testkit::{TestApp, binary};

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// The names in capitals that begin a line, after whatever frame or quote a table has.
fn names(text: &str) -> BTreeSet<String> {
    let name_of = |line: &str| {
        let start = line.trim_start_matches(|letter: char| !letter.is_ascii_alphanumeric());
        let end = start.find(|letter: char| !letter.is_ascii_uppercase() && !letter.is_ascii_digit() && letter != '_');
        start[..end.unwrap_or(start.len())].to_owned()
    };
    text.lines()
        .map(name_of)
        .filter(|name| name.len() > 3 && name.starts_with(|c: char| c.is_ascii_uppercase()))
        .collect()
}

#[tokio::test]
async fn config_prints_the_settings_and_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let env = environment(&[
        ("TANDEM_DATA_DIR", dir.path().to_str().unwrap()),
        ("PORT", "4321"),
        ("MESSAGE_BURST", "77"),
        ("TURN_SECRET", "a-very-secret-secret"),
        ("TURN_URLS", "turn:turn.example.org"),
    ]);
    let output = binary::run(&env, &["config"]).await;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(!output.stdout.contains("a-very-secret-secret"), "{}", output.stdout);
    let line = |name: &str| {
        let line = output.stdout.lines().find(|line| names(line).contains(name));
        line.unwrap_or_else(|| panic!("no {name} in {}", output.stdout)).to_owned()
    };
    assert!(line("PORT").contains("4321"));
    assert!(line("MESSAGE_BURST").contains("77"));
    assert!(line("HOST").contains("0.0.0.0") || line("HOST").contains("::"));
    line("TURN_SECRET");
    for name in [
        "HOST_GRACE_SECONDS",
        "EMPTY_ROOM_SECONDS",
        "RESUME_WINDOW_SECONDS",
        "READY_GATE_SECONDS",
        "PING_INTERVAL_SECONDS",
        "PING_TIMEOUT_SECONDS",
        "DRAIN_SECONDS",
        "MESSAGES_PER_SECOND",
        "OUTBOX_BYTES",
        "ROOM_MAX_MEMBERS",
        "MAX_CONNECTIONS",
        "ENFORCE_CONTROL",
        "URL_HOSTS",
        "STATUS_DETAIL",
        "INVITE_URL",
        "PUBLIC_URL",
        "METRICS_PORT",
        "TRUST_PROXY_HOPS",
        "TRUSTED_PROXIES",
        "PROXY_PROTOCOL_FROM",
        "ALLOWED_ORIGINS",
        "ICE_SERVERS",
        "STUN_URLS",
        "TURN_TTL_SECONDS",
        "LOG_LEVEL",
        "LOG_FORMAT",
        "HEADER_TIMEOUT_SECONDS",
        "KEEP_ALIVE_SECONDS",
        "TANDEM_DATA_DIR",
    ] {
        line(name);
    }
}

#[tokio::test]
async fn the_example_file_names_every_setting() {
    let dir = tempfile::tempdir().unwrap();
    let env = environment(&[("TANDEM_DATA_DIR", dir.path().to_str().unwrap())]);
    let output = binary::run(&env, &["config"]).await;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/.env.example");
    let example = std::fs::read_to_string(path).unwrap_or_else(|error| panic!(".env.example: {error}"));
    let known: BTreeSet<String> = example
        .lines()
        .filter_map(|line| line.trim_start_matches(['#', ' ']).split_once('='))
        .map(|(name, _)| name.trim().to_owned())
        .collect();
    let printed = names(&output.stdout);
    assert!(printed.len() > 20, "{printed:?}");
    let missing: Vec<_> = printed.difference(&known).collect();
    assert!(missing.is_empty(), "not in .env.example: {missing:?}");
}

#[tokio::test]
async fn mistakes_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    for (pairs, args, named) in [
        (&[][..], &["serve", "--bogus"][..], "--bogus"),
        (&[], &["bogus"], "bogus"),
        (&[("PORT", "abc")], &["serve"], "PORT"),
        (&[("PORT", "70000")], &["serve"], "PORT"),
        (&[("PORT", "abc")], &["config"], "PORT"),
        (&[("HOST_GRACE_SECONDS", "-1")], &["serve"], "HOST_GRACE_SECONDS"),
        (&[("HOST_GRACE_SECONDS", "NaN")], &["serve"], "HOST_GRACE_SECONDS"),
        (&[("HOST_GRACE_SECONDS", "1e300")], &["serve"], "HOST_GRACE_SECONDS"),
        (&[("ENFORCE_CONTROL", "perhaps")], &["serve"], "ENFORCE_CONTROL"),
        (&[("STATUS_DETAIL", "all")], &["serve"], "STATUS_DETAIL"),
        (&[("LOG_FORMAT", "xml")], &["serve"], "LOG_FORMAT"),
        (&[("ICE_SERVERS", "not json")], &["serve"], "ICE_SERVERS"),
        (&[("PUBLIC_URL", "not a url")], &["serve"], "PUBLIC_URL"),
        (&[("TANDEM_NO_SUCH_THING", "1")], &["serve"], "TANDEM_NO_SUCH_THING"),
        (&[("TANDEM_DATADIR", "1")], &["config"], "TANDEM_DATADIR"),
    ] {
        let mut env = environment(pairs);
        env.insert("TANDEM_DATA_DIR".to_owned(), data.to_owned());
        env.entry("PORT".to_owned()).or_insert_with(|| "0".to_owned());
        let output = binary::run(&env, args).await;
        assert_eq!(output.code, Some(64), "{pairs:?} {args:?} {output:?}");
        assert!(output.stderr.contains(named), "{pairs:?} {args:?} {output:?}");
        assert!(!output.stderr.contains("panicked"), "{output:?}");
    }
}

/// Compose files and charts make an empty variable of a value that nobody gave.
#[tokio::test]
async fn an_empty_variable_is_one_that_is_not_set() {
    let env = environment(&[("MESSAGE_BURST", ""), ("TURN_URLS", ""), ("NODE_ID", "")]);
    let output = binary::run(&env, &["config"]).await;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stdout.lines().any(|line| line.starts_with("MESSAGE_BURST=300 ")), "{output:?}");
}

#[tokio::test]
async fn a_taken_port_and_a_bad_directory_are_no_crash() {
    let app = TestApp::start().await;
    let dir = tempfile::tempdir().unwrap();
    let port = app.addr().port().to_string();
    let env = environment(&[("HOST", "127.0.0.1"), ("PORT", &port), ("TANDEM_DATA_DIR", dir.path().to_str().unwrap())]);
    let output = binary::run(&env, &["serve"]).await;
    assert!(output.code.is_some_and(|code| code != 0 && code != 101), "{output:?}");
    let said = format!("{}{}", output.stdout, output.stderr);
    assert!(said.contains(&port), "{output:?}");
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    // The directory is a file: no place for a ledger.
    let place = file.join("data");
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_tandem"));
    command.env_clear().envs([("HOST", "127.0.0.1"), ("PORT", "0"), ("TANDEM_DATA_DIR", place.to_str().unwrap())]);
    let output = command.arg("serve").current_dir(dir.path()).output().await.unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.code().is_some_and(|code| code != 0 && code != 101), "{said}");
    assert!(said.contains(place.to_str().unwrap()) || said.contains("TANDEM_DATA_DIR"), "{said}");
}

#[tokio::test]
async fn a_broken_dot_env_is_named_by_line_and_never_by_value() {
    let dir = tempfile::tempdir().unwrap();
    for line in ["TURN_SECRET='hush' hush", "TURN_SECRET='hush", "TURN_SECRET hush"] {
        std::fs::write(dir.path().join(".env"), format!("# Mine\nPORT=0\n{line}\n")).unwrap();
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_tandem"));
        let output = command.env_clear().arg("config").current_dir(dir.path()).output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{line}: {said}");
        assert!(said.contains(".env: line 3 (TURN_SECRET)"), "{line}: {said}");
        assert!(!said.contains("hush"), "{said}");
    }
}

#[tokio::test]
async fn help_and_version() {
    for args in
        [&["--help"][..], &["serve", "--help"], &["audit", "--help"], &["audit", "events", "--help"], &["--version"]]
    {
        let output = binary::run(&BTreeMap::new(), args).await;
        assert_eq!(output.code, Some(0), "{args:?} {output:?}");
        assert!(output.stdout.contains("tandem"), "{args:?} {output:?}");
    }
}

#[tokio::test]
async fn healthcheck_tells_by_its_exit_code() {
    let mut app = TestApp::start().await;
    let port = app.addr().port().to_string();
    let env = environment(&[("HOST", "127.0.0.1"), ("PORT", &port)]);
    let well = binary::run(&env, &["healthcheck"]).await;
    assert_eq!(well.code, Some(0), "{well:?}");
    // As in a container, where it listens everywhere.
    let everywhere = environment(&[("HOST", "0.0.0.0"), ("PORT", &port)]);
    assert_eq!(binary::run(&everywhere, &["healthcheck"]).await.code, Some(0));
    app.kill9().await;
    let ill = binary::run(&env, &["healthcheck"]).await;
    assert_eq!(ill.code, Some(1), "{ill:?}");
}

#[tokio::test]
async fn logs_are_lines_of_json() {
    let app = TestApp::start().await;
    let mut ana = tandem_testkit::Client::join(&app, "room", "ana").await;
    ana.ping().await;
    app.get("/health").await;
    let log = app.log();
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["level"].is_u64() && line["msg"].is_string(), "{line}");
        assert!(line["time"].is_u64() || line["time"].is_string(), "{line}");
    }
}
