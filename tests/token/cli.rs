//! `tandem token`.

use std::{os::unix::fs::PermissionsExt as _, process::Stdio};

use serde_json::json;
use tandem::token::Algorithm;
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt as _, process::Command};

use super::{
    keys::{SECRET, jwk, pair},
    server::{Answer, Server},
};

struct Place(TempDir);

#[derive(Debug)]
struct Output {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn run(&self, env: &[(&str, &str)], args: &[&str], input: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
        command.env_clear().envs(env.iter().copied()).arg("token").args(args).current_dir(self.0.path());
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = piped.spawn().unwrap();
        // What is too long is not read to its end.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes()).await;
        let output = child.wait_with_output().await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Output { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.path().join(name)).unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }
}

#[tokio::test]
async fn what_is_minted_is_accepted() {
    let place = Place::new();
    let keys = format!("app=HS256:{SECRET}");
    let env = [("AUTH_KEYS", keys.as_str()), ("AUTH_AUDIENCE", "tandem"), ("AUTH_ISSUER", "app,other")];
    let minted = place
        .run(
            &env,
            &[
                "mint",
                "--user",
                "ana",
                "--device",
                "phone",
                "--room",
                "film",
                "--role",
                "host",
                "--rights",
                "join,control",
                "--name",
                "Ana",
                "--metadata",
                r#"{"a":1}"#,
                "--ttl",
                "2h",
            ],
            "",
        )
        .await;
    assert_eq!((minted.code, minted.stderr.as_str()), (0, ""), "{minted:?}");
    let token = minted.stdout.trim();
    assert_eq!(token.split('.').count(), 3);
    for (args, input) in
        [(vec!["verify", token], ""), (vec!["verify"], minted.stdout.as_str()), (vec!["verify", "-"], &minted.stdout)]
    {
        let output = place.run(&env, &args, input).await;
        assert_eq!(output.code, 0, "{output:?}");
        for said in ["ana#phone", "\"film\"", "host", "join,control", "Ana", r#"{"a":1}"#] {
            assert!(output.stdout.contains(said), "{said}: {output:?}");
        }
    }
    let other = [("AUTH_KEYS", keys.as_str()), ("AUTH_AUDIENCE", "else")];
    let refused = place.run(&other, &["verify", token], "").await;
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""), "{refused:?}");
    assert!(refused.stderr.contains("aud: the token is not meant for this server"), "{refused:?}");
}

#[tokio::test]
async fn each_check_is_told() {
    let place = Place::new();
    let keys = format!("app=HS256:{SECRET}");
    let env = [("AUTH_KEYS", keys.as_str())];
    let token = place.run(&env, &["mint", "--user", "ana"], "").await.stdout;
    let good = place.run(&env, &["explain"], &token).await;
    assert_eq!(good.code, 0, "{good:?}");
    for said in ["\"alg\":\"HS256\"", "\"sub\":\"ana\"", "signature   passed", "exp         passed", "every room"] {
        assert!(good.stdout.contains(said), "{said}: {good:?}");
    }
    // The same secret, and all else is wrong.
    let strict = [
        ("AUTH_KEYS", keys.as_str()),
        ("AUTH_ISSUER", "login"),
        ("AUTH_MAX_LIFETIME_SECONDS", "60"),
        ("AUTH_LEEWAY_SECONDS", "0"),
    ];
    let bad = place.run(&strict, &["explain"], &token).await;
    assert_eq!(bad.code, 1, "{bad:?}");
    for said in [
        "signature   passed",
        "iss         REFUSED: iss: missing",
        "exp         REFUSED: exp: the token is valid for longer",
        "sub         passed",
    ] {
        assert!(bad.stdout.contains(said), "{said}: {bad:?}");
    }
    let forged = [("AUTH_KEYS", "app=HS256:another-secret-of-at-least-32-bytes")];
    let bad = place.run(&forged, &["explain"], &token).await;
    assert_eq!(bad.code, 1, "{bad:?}");
    assert!(bad.stdout.contains("signature   REFUSED") && bad.stdout.contains("exp         passed"), "{bad:?}");
    let unknown =
        place.run(&[("AUTH_KEYS", "b=HS256:another-secret-of-at-least-32-bytes")], &["explain"], &token).await;
    assert!(unknown.stdout.contains("key         REFUSED: kid: the key is not known"), "{unknown:?}");
    for garbage in ["", "a.b.c", "\u{1b}[31m", &"x".repeat(100_000)] {
        let bad = place.run(&env, &["explain"], garbage).await;
        assert_eq!(bad.code, 1, "{bad:?}");
        assert!(bad.stdout.contains("header      REFUSED") && !bad.stdout.contains('\u{1b}'), "{bad:?}");
    }
}

#[tokio::test]
async fn keys_that_are_made_sign_and_verify() {
    let place = Place::new();
    for algorithm in ["ES256", "eddsa"] {
        let (private, public) = (format!("{algorithm}.key"), format!("{algorithm}.pem"));
        let made = place.run(&[], &["key", algorithm, "--out", &private], "").await;
        assert_eq!(made.code, 0, "{made:?}");
        assert!(made.stdout.starts_with("-----BEGIN PUBLIC KEY-----") && !made.stdout.contains("PRIVATE"), "{made:?}");
        place.write(&public, &made.stdout);
        let bits = std::fs::metadata(place.0.path().join(&private)).unwrap().permissions().mode();
        assert_eq!(bits & 0o777, 0o600);
        let keys = format!("k={algorithm}:@{public}");
        let env = [("AUTH_KEYS", keys.as_str())];
        let minted = place.run(&env, &["mint", "--user", "ana", "--key", &private, "--kid", "k"], "").await;
        assert_eq!((minted.code, minted.stderr.as_str()), (0, ""), "{minted:?}");
        assert_eq!(place.run(&env, &["verify"], &minted.stdout).await.code, 0);
        let again = place.run(&[], &["key", algorithm, "--out", &private], "").await;
        assert_eq!(again.code, 1, "a key is not overwritten: {again:?}");
    }
    let made = place.run(&[], &["key", "HS256", "--out", "secret"], "").await;
    assert_eq!((made.code, made.stdout.as_str()), (0, ""), "{made:?}");
    assert!(!made.stderr.contains(place.read("secret").trim()), "{made:?}");
    let env = [("AUTH_KEYS", "HS256:@secret")];
    let minted = place.run(&env, &["mint", "--user", "ana"], "").await;
    assert_eq!(place.run(&env, &["verify"], &minted.stdout).await.code, 0);
}

#[tokio::test]
async fn mistakes_are_named_and_secrets_are_not() {
    let place = Place::new();
    place.write("rsa.key", &pair(Algorithm::Rs256).private);
    place.write("ec.pem", &pair(Algorithm::Es256).public);
    place.write("hush", "hush");
    let two = "a=HS256:hush-hush-hush-hush-hush-hush-hush,b=HS256:hush-hush-hush-hush-hush-hush-hush";
    for (env, args, code, said) in [
        (&[][..], &["mint", "--user", "ana"][..], 64, "no secret for HS256"),
        (&[("AUTH_KEYS", two)], &["mint", "--user", "ana"], 64, "several secrets"),
        (&[("AUTH_KEYS", two)], &["mint", "--user", "ana", "--kid", "c"], 64, "with the kid \"c\""),
        (&[("AUTH_KEYS", "k=ES256:@ec.pem")], &["mint", "--user", "ana"], 64, "public keys cannot sign"),
        (&[], &["mint", "--user", "ana", "--key", "ec.pem"], 1, "is a public key"),
        (&[], &["mint", "--user", "ana", "--key", "hush"], 1, "less than 32 bytes"),
        (&[], &["mint", "--user", "ana", "--key", "nowhere"], 1, "nowhere"),
        (&[], &["mint", "--user", ""], 64, "--user"),
        (&[("AUTH_KEYS", two)], &["mint", "--user", "ana", "--role", "king"], 64, "host, co-host and member"),
        (&[("AUTH_KEYS", two)], &["mint", "--user", "ana", "--rights", "join,fly"], 64, "join, control"),
        (&[("AUTH_KEYS", two)], &["mint", "--user", "ana", "--ttl", "soon"], 64, "30m"),
        (&[], &["verify", "a.b.c"], 1, "AUTH_KEYS"),
        (&[], &["key", "RS256", "--out", "k"], 1, "openssl genpkey"),
        (&[], &["invite", "--room", "film"], 1, "TANDEM_SECRET"),
        (&[("TANDEM_SECRET", "0123456789abcdef")], &["invite", "--room", "film", "--uses", "0"], 64, "--uses"),
    ] {
        let output = place.run(env, args, "").await;
        assert_eq!(output.code, code, "{args:?} {output:?}");
        assert!(output.stderr.contains(said), "{said}: {output:?}");
        assert!(!output.stderr.contains("hush-"), "{output:?}");
        assert_eq!(output.stdout, "", "{args:?}");
    }
    let rsa = place.run(&[], &["mint", "--user", "ana", "--key", "rsa.key"], "").await;
    assert_eq!((rsa.code, rsa.stderr.as_str()), (0, ""), "{rsa:?}");
    // What the server would refuse is minted, and said.
    let short = [("AUTH_KEYS", two), ("AUTH_MAX_LIFETIME_SECONDS", "60"), ("AUTH_LEEWAY_SECONDS", "0")];
    let long = place.run(&short, &["mint", "--user", "ana", "--kid", "a"], "").await;
    assert_eq!(long.code, 0);
    assert!(long.stderr.contains("refuses it: exp: the token is valid for longer"), "{long:?}");
}

#[tokio::test]
async fn invitations() {
    let place = Place::new();
    let env = [("TANDEM_SECRET", "0123456789abcdef")];
    let args = ["invite", "--room", "film", "--role", "co-host", "--uses", "3", "--ttl", "7d"];
    let minted = place.run(&env, &args, "").await;
    assert_eq!((minted.code, minted.stderr.as_str()), (0, ""), "{minted:?}");
    let good = place.run(&env, &["verify"], &minted.stdout).await;
    assert_eq!(good.code, 0, "{good:?}");
    for said in ["film", "co-host", "uses        3"] {
        assert!(good.stdout.contains(said), "{said}: {good:?}");
    }
    let explained = place.run(&env, &["explain"], &minted.stdout).await;
    assert!(explained.code == 0 && explained.stdout.contains("signature   passed"), "{explained:?}");
    let other = [("TANDEM_SECRET", "fedcba9876543210")];
    let bad = place.run(&other, &["explain"], &minted.stdout).await;
    assert!(bad.code == 1 && bad.stdout.contains("signature   REFUSED"), "{bad:?}");
    assert_eq!(place.run(&other, &["verify"], &minted.stdout).await.code, 1);
    let changed = [("TANDEM_SECRET", "fedcba9876543210"), ("TANDEM_SECRET_PREVIOUS", "0123456789abcdef")];
    assert_eq!(place.run(&changed, &["verify"], &minted.stdout).await.code, 0);
}

#[tokio::test]
async fn keys_of_a_jwks_are_fetched() {
    let place = Place::new();
    let set = json!({"keys": [jwk(Algorithm::EdDsa, "ed")]}).to_string();
    let server = Server::start(Answer::Text(set, "max-age=60")).await;
    place.write("ed.key", &pair(Algorithm::EdDsa).private);
    let minted = place.run(&[], &["mint", "--user", "ana", "--key", "ed.key", "--kid", "ed"], "").await;
    let url = server.url();
    let env = [("AUTH_JWKS_URL", url.as_str())];
    assert_eq!(place.run(&env, &["verify"], &minted.stdout).await.code, 0);
    server.answer(Answer::Status("500 Internal Server Error", String::new()));
    let away = place.run(&env, &["verify"], &minted.stdout).await;
    assert_eq!(away.code, 1);
    assert!(
        away.stderr.contains("AUTH_JWKS_URL: it answers 500") && away.stderr.contains("could not be fetched"),
        "{away:?}"
    );
}
