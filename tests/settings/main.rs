//! The sources of settings (flags, the environment, `.env`), and errors about settings.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used
)]

use std::{process::Stdio, time::Duration};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
    time::timeout,
};

/// Nothing here takes this long.
const DEADLINE: Duration = Duration::from_secs(20);

#[derive(Debug)]
struct Output {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// A directory with the binary, and an empty environment.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with(dot_env: &str) -> Self {
        let place = Self::new();
        std::fs::write(place.0.path().join(".env"), dot_env).unwrap();
        place
    }

    fn command(&self, env: &[(&str, &str)], args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
        command.env_clear().envs(env.iter().copied()).args(args).current_dir(self.0.path());
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    async fn run(&self, env: &[(&str, &str)], args: &[&str]) -> Output {
        let output = timeout(DEADLINE, self.command(env, args).output()).await.expect("it ends").unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Output { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// The output of a node until it listens, or ends.
    async fn start(&self, env: &[(&str, &str)], args: &[&str]) -> Vec<String> {
        let mut serve = vec!["serve", "--host", "127.0.0.1", "--port", "0", "--log-format", "json"];
        serve.extend(args);
        let mut child = self.command(env, &serve).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = Vec::new();
        while let Some(line) = timeout(DEADLINE, lines.next_line()).await.expect("a line").unwrap() {
            let listens = line.contains("\"msg\":\"listening\"");
            said.push(line);
            if listens {
                break;
            }
        }
        said
    }

    /// The names of all settings.
    async fn settings(&self) -> Vec<String> {
        let output = self.run(&[], &["config"]).await;
        let names = output.stdout.lines().filter_map(|line| line.split_once('='));
        let names: Vec<_> = names.map(|(name, _)| name.to_owned()).collect();
        assert!(names.len() > 50, "{output:?}");
        names
    }
}

#[tokio::test]
async fn a_dot_env_that_cannot_be_read_ends_nothing() {
    let place = Place::new();
    // Root, as which this test may run, can read the files of other users.
    std::fs::create_dir(place.0.path().join(".env")).unwrap();
    let output = place.run(&[], &["config"]).await;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stderr.contains(".env is passed over"), "{output:?}");
    assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
    let said = place.start(&[], &[]).await;
    assert!(said.iter().any(|line| line.contains("\"level\":40") && line.contains(".env is passed over")), "{said:#?}");
    assert!(said.iter().any(|line| line.contains("listening")), "{said:#?}");
}

#[tokio::test]
async fn help_and_version_look_at_no_settings() {
    let place = Place::with("TURN_SECRET hush");
    for args in
        [&["--help"][..], &["-h"], &["serve", "--help"], &["help"], &["help", "worker"], &["--version"], &["-V"]]
    {
        let output = place.run(&[("PORT", "x"), ("TANDEM_NONSENSE", "1")], args).await;
        assert_eq!(output.code, Some(0), "{args:?}: {output:?}");
        assert_eq!(output.stderr, "", "{args:?}");
    }
    assert_eq!(place.run(&[], &["config"]).await.code, Some(64));
}

#[tokio::test]
async fn a_node_says_which_file_it_read_and_takes_it_by_the_letter() {
    let place = Place::with("REDIS_PREFIX=pa$word$$\nMESSAGE_BURST=77\nNODE_ID='a b'\nPORT=5 # five\nPORT=6\n");
    let output = place.run(&[("MESSAGE_BURST", "78"), ("NODE_ID", "")], &["config"]).await;
    assert_eq!(output.code, Some(0), "{output:?}");
    for line in [
        "REDIS_PREFIX=pa$word$$  # .env line 1",
        "MESSAGE_BURST=78  # environment variable",
        "NODE_ID=a b  # .env line 3",
        "PORT=6  # .env line 5",
        "MAX_ROOMS=100000  # default",
    ] {
        let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(output.stdout.lines().any(|found| squeezed(found) == squeezed(line)), "{line}: {}", output.stdout);
    }
    assert!(output.stderr.contains("sets PORT on line 4 and on line 5"), "{output:?}");
    let place = Place::with("MESSAGE_BURST=77\n");
    let said = place.start(&[], &[]).await;
    let path = place.0.path().canonicalize().unwrap().join(".env");
    let found = said.iter().any(|line| line.contains("\"level\":30") && line.contains(path.to_str().unwrap()));
    assert!(found, "{said:#?}");
}

/// Each as for a Service of that name: `REDIS_PORT`, and whatever else it may be called.
#[tokio::test]
async fn what_kubernetes_sets_for_services_is_no_setting() {
    let place = Place::new();
    let settings = place.settings().await;
    for name in &settings {
        for value in ["tcp://10.0.0.1:6379", "udp://10.0.0.1:53"] {
            let output = place.run(&[(name, value)], &["config"]).await;
            assert_eq!(output.code, Some(0), "{name}: {output:?}");
            assert!(!output.stdout.contains("//10.0.0.1"), "{name}: {output:?}");
            assert_eq!(output.stderr.lines().count(), 1, "{name}: {output:?}");
            assert!(output.stderr.contains(name.as_str()), "{name}: {output:?}");
        }
    }
    let mut all: Vec<(String, String)> =
        settings.iter().map(|name| (name.clone(), "tcp://10.0.0.1:1".into())).collect();
    for service in ["TANDEM", "TANDEM_NODE", "REDIS", "POSTGRES", "PORT", "WORKER", "TURN"] {
        for (suffix, value) in [
            ("_SERVICE_HOST", "10.0.0.1"),
            ("_SERVICE_PORT", "6379"),
            ("_SERVICE_PORT_HTTP", "80"),
            ("_PORT", "tcp://10.0.0.1:6379"),
            ("_PORT_6379_TCP", "tcp://10.0.0.1:6379"),
            ("_PORT_6379_TCP_PROTO", "tcp"),
            ("_PORT_6379_TCP_PORT", "6379"),
            ("_PORT_6379_TCP_ADDR", "10.0.0.1"),
            ("_PORT_53_UDP", "udp://10.0.0.1:53"),
            ("_PORT_53_UDP_ADDR", "10.0.0.1"),
            ("_PORT_9_SCTP_PROTO", "sctp"),
        ] {
            all.push((format!("{service}{suffix}"), value.to_owned()));
        }
    }
    let all: Vec<_> = all.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let said = place.start(&all, &["--data-dir", "here"]).await;
    assert!(said.last().is_some_and(|line| line.contains("listening")), "{said:#?}");
    let told: Vec<_> = said.iter().filter(|line| line.contains("Kubernetes")).collect();
    assert_eq!(told.len(), 1, "{said:#?}");
    assert!(told[0].contains("TANDEM_PORT") && told[0].contains("REDIS_PORT"), "{told:?}");
    // Nor does any other command end for this reason: these two have nothing to work with.
    for command in ["worker", "migrate"] {
        let output = place.run(&all, &[command]).await;
        assert!(output.stderr.contains("DATABASE_URL"), "{command}: {output:?}");
    }
    assert_eq!(place.run(&all, &["sleep", "0"]).await.code, Some(0));
    // In a file it was set on purpose.
    let output = Place::with("REDIS_PORT=tcp://10.0.0.1:6379\n").run(&[], &["config"]).await;
    assert_eq!(output.code, Some(64), "{output:?}");
}

/// For every setting that rejects a value: the name, and the source of the value.
#[tokio::test]
async fn a_value_that_cannot_be_used_is_blamed_on_whoever_gave_it() {
    let place = Place::new();
    let help = place.run(&[], &["serve", "--help"]).await.stdout;
    let mut refused = 0;
    for name in place.settings().await {
        // Nothing takes this but a text of any kind.
        let wrong = "no/ ?sense,\u{20ac}";
        let output = place.run(&[(&name, wrong)], &["config"]).await;
        // Here a missing setting is wrong, not a value.
        if output.code == Some(0) || output.stderr.contains("is missing: another setting") {
            continue;
        }
        refused += 1;
        assert_eq!(output.code, Some(64), "{name}: {output:?}");
        assert!(output.stderr.starts_with(&format!("tandem: {name}")), "{name}: {output:?}");
        assert!(
            output.stderr.contains("(environment variable)") && !output.stderr.contains("--"),
            "{name}: {output:?}"
        );
        let output = Place::with(&format!("\n{name}='{wrong}'\n")).run(&[], &["config"]).await;
        assert_eq!(output.code, Some(64), "{name}: {output:?}");
        assert!(output.stderr.contains(&name) && output.stderr.contains("(.env line 2)"), "{name}: {output:?}");
        let flag = help.split_whitespace().zip(help.split_whitespace().skip(1));
        let mut flag = flag.filter(|(_, value)| *value == format!("<{name}>")).map(|(flag, _)| flag);
        let flag = flag.next().unwrap_or_else(|| panic!("{name} is no flag: {help}"));
        for args in
            [vec!["config".to_owned(), flag.into(), wrong.into()], vec!["config".into(), format!("{flag}={wrong}")]]
        {
            let args: Vec<_> = args.iter().map(String::as_str).collect();
            // The environment is not the cause.
            let output = place.run(&[(&name, "5")], &args).await;
            assert_eq!(output.code, Some(64), "{name}: {output:?}");
            assert!(output.stderr.starts_with(&format!("tandem: {flag}")), "{name}: {output:?}");
            assert!(!output.stderr.contains("environment"), "{name}: {output:?}");
        }
    }
    assert!(refused > 35, "only {refused} settings refuse anything");
}

#[tokio::test]
async fn a_value_that_is_no_text_is_named() {
    use std::os::unix::ffi::OsStringExt as _;
    let place = Place::new();
    let mut command = place.command(&[], &["config"]);
    command.env("REDIS_PASSWORD", std::ffi::OsString::from_vec(vec![b'h', 0xff]));
    let output = command.output().await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains("REDIS_PASSWORD (environment variable)") && said.contains("UTF-8"), "{said}");
}

#[tokio::test]
async fn a_variable_that_is_near_to_a_setting_is_told_of() {
    let place = Place::new();
    let wrong = [("MAX_CONECTIONS", "MAX_CONNECTIONS"), ("REDIS_URI", "REDIS_URL"), ("LOGLEVEL", "LOG_LEVEL")];
    let env: Vec<_> = wrong.iter().map(|(name, _)| (*name, "hush")).collect();
    let output = place.run(&env, &["config"]).await;
    assert_eq!(output.code, Some(0), "{output:?}");
    let said = place.start(&env, &[]).await;
    for (name, meant) in wrong {
        let told = |line: &&str| line.contains(name) && line.contains(&format!("did you mean {meant}?"));
        assert_eq!(output.stderr.lines().filter(told).count(), 1, "{output:?}");
        assert_eq!(said.iter().map(String::as_str).filter(told).count(), 1, "{said:#?}");
    }
    assert!(!output.stderr.contains("hush") && !said.concat().contains("hush"), "{output:?} {said:#?}");
    // A variable that can only be meant for a node is reported.
    let output = place.run(&[("TANDEM_SECRT", "hush")], &["config"]).await;
    assert_eq!(output.code, Some(64), "{output:?}");
    assert!(output.stderr.contains("did you mean TANDEM_SECRET?") && !output.stderr.contains("hush"), "{output:?}");
    let quiet =
        place.run(&[("PATH", "/bin"), ("HOSTNAME", "x"), ("NODE_IP", "x"), ("RUST_LOG", "x")], &["config"]).await;
    assert_eq!((quiet.code, quiet.stderr.as_str()), (Some(0), ""));
}

/// Every setting that holds a secret, refused.
#[tokio::test]
async fn no_error_prints_a_secret() {
    let place = Place::new();
    let (redis, database) = ("redis://127.0.0.1:1/", "postgres://u:hush@127.0.0.1:1/d");
    let secret = "a secret of more than sixteen bytes";
    for (wrong, more) in [
        (("TANDEM_SECRET", "hush"), vec![]),
        (("TURN_SECRET", ""), vec![("TURN_URLS", "turn:a.org")]),
        (("ICE_SERVERS", "hush"), vec![]),
        (("ICE_SERVERS", "\"hush\""), vec![]),
        (("ICE_SERVERS", "[\"hush\"]"), vec![]),
        (("ICE_SERVERS", "[{\"urls\":\"turn:a.org\",\"username\":\"u\",\"credential\":{\"hush\":1}}]"), vec![]),
        (("ICE_SERVERS", "[{\"urls\":\"hush:a.org\",\"username\":\"u\",\"credential\":\"hush\"}]"), vec![]),
        (("ICE_SERVERS", "[{\"urls\":\"turn:u:hush@a.org\"}]"), vec![]),
        (("ICE_SERVERS", "[{\"urls\":\"turn:a.org\",\"username\":\"u\",\"credential\":\"hush\"},{}]"), vec![]),
        (("REDIS_URL", "hush"), vec![("TANDEM_SECRET", secret)]),
        (("REDIS_URL", "http://u:hush@h/"), vec![("TANDEM_SECRET", secret)]),
        (("REDIS_URL", "redis://u:hush@h:99999/"), vec![("TANDEM_SECRET", secret)]),
        (("REDIS_URL", "redis://u:hush@h/db"), vec![("TANDEM_SECRET", secret)]),
        (("DATABASE_URL", "hush"), vec![("TANDEM_SECRET", secret), ("REDIS_URL", redis)]),
        (("DATABASE_URL", "postgres://u:hush@h:99999/d"), vec![("TANDEM_SECRET", secret), ("REDIS_URL", redis)]),
        (
            ("DATABASE_URL", "postgres://u:hush@h/d?sslmode=nonsense"),
            vec![("TANDEM_SECRET", secret), ("REDIS_URL", redis)],
        ),
        (("DATABASE_URL", "postgres://u:hush@h/d?nonsense=1"), vec![("TANDEM_SECRET", secret), ("REDIS_URL", redis)]),
        (("DATABASE_URL", "password=hush port=x"), vec![("TANDEM_SECRET", secret), ("REDIS_URL", redis)]),
        (("DATABASE_URL", database), vec![]),
    ] {
        let mut env = more.clone();
        env.push(wrong);
        let output = place.run(&env, &["serve", "--host", "127.0.0.1", "--port", "0"]).await;
        let said = format!("{}{}", output.stdout, output.stderr);
        assert!(output.code.is_some_and(|code| code == 1 || code == 64), "{wrong:?}: {output:?}");
        assert!(said.contains(wrong.0), "{wrong:?}: {said}");
        assert!(!said.contains("hush"), "{wrong:?}: {said}");
    }
}
