//! Keys from a JWKS, from a server that does all that servers do.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tandem::token::{Algorithm, Identity, JwksSettings, JwksUrl, Pace, TokenError, Verifier, VerifierSettings};
use tandem_testkit::certificates::Certificates;
use tokio::time::{sleep, timeout};

use super::{
    keys::{NOW, claims, jwk, settings, signing, spec},
    server::{Answer, Server},
};

const DEADLINE: Duration = Duration::from_secs(10);

/// Fast enough for a test.
const PACE: Pace = Pace {
    least: Duration::from_millis(100),
    usual: Duration::from_hours(1),
    most: Duration::from_hours(1),
    between: Duration::from_millis(50),
    retry: Duration::from_millis(100),
    patience: Duration::from_millis(500),
};

fn text(keys: &[Value]) -> String {
    json!({"keys": keys}).to_string()
}

fn set(keys: &[Value]) -> Answer {
    Answer::Text(text(keys), "max-age=3600")
}

fn with_jwks(keys: &str, url: &str, pace: Pace) -> VerifierSettings {
    let jwks = JwksSettings { url: JwksUrl::parse(url).unwrap(), ca_file: None, pace };
    VerifierSettings { jwks: Some(jwks), ..settings(keys) }
}

fn start(settings: &VerifierSettings) -> Arc<Verifier> {
    let verifier = Arc::new(Verifier::new(settings, Arc::default()).unwrap());
    let fresh = Arc::clone(&verifier);
    tokio::spawn(async move { fresh.keep_fresh().await });
    verifier
}

fn token(algorithm: Algorithm, kid: &str) -> String {
    signing(algorithm, Some(kid)).sign(&claims(json!({}))).unwrap()
}

fn says(verifier: &Verifier, token: &str) -> Result<(), TokenError> {
    verifier.verify(token, NOW).map(|_: Identity| ())
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let waits = async {
        while !holds() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, waits).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

#[tokio::test]
async fn keys_of_each_algorithm_are_fetched_once_and_not_for_each_join() {
    let public = [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];
    let server = Server::start(set(&public.map(|algorithm| jwk(algorithm, algorithm.name())))).await;
    let verifier = start(&with_jwks("", &server.url(), PACE));
    for algorithm in public {
        let token = token(algorithm, algorithm.name());
        assert_eq!(verifier.verify_patiently(&token, NOW).await.map(drop), Ok(()), "{algorithm:?}");
    }
    for _ in 0..100 {
        assert_eq!(says(&verifier, &token(Algorithm::EdDsa, "EdDSA")), Ok(()));
    }
    // A fetch would have begun by now.
    sleep(PACE.between * 4).await;
    assert_eq!(server.requests(), 1);
    assert_eq!(verifier.jwks().unwrap().keys, 3);
}

/// A secret in a JWKS is known to whoever can fetch it.
#[tokio::test]
async fn a_secret_in_a_jwks_is_not_used() {
    let server = Server::start(set(&[jwk(Algorithm::Hs256, "a"), jwk(Algorithm::EdDsa, "b")])).await;
    let verifier = start(&with_jwks("", &server.url(), PACE));
    until("fetched", || verifier.jwks().unwrap().keys == 1).await;
    assert_eq!(says(&verifier, &token(Algorithm::Hs256, "a")), Err(TokenError::UnknownKey));
    assert_eq!(says(&verifier, &token(Algorithm::EdDsa, "b")), Ok(()));
}

#[tokio::test]
async fn a_kid_that_two_keys_have_is_that_of_neither() {
    let server =
        Server::start(set(&[jwk(Algorithm::Es256, "a"), jwk(Algorithm::EdDsa, "a"), jwk(Algorithm::EdDsa, "b")])).await;
    let verifier = start(&with_jwks("", &server.url(), PACE));
    until("fetched", || verifier.jwks().unwrap().keys == 1).await;
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        assert_eq!(says(&verifier, &token(algorithm, "a")), Err(TokenError::UnknownKey));
    }
}

/// A key of the settings cannot be replaced from outside.
#[tokio::test]
async fn settings_come_before_a_jwks() {
    let server = Server::start(set(&[jwk(Algorithm::EdDsa, "a"), jwk(Algorithm::EdDsa, "b")])).await;
    let verifier = start(&with_jwks(&spec(Algorithm::Es256, Some("a")), &server.url(), PACE));
    until("fetched", || verifier.jwks().unwrap().keys == 2).await;
    assert_eq!(says(&verifier, &token(Algorithm::Es256, "a")), Ok(()));
    assert_eq!(says(&verifier, &token(Algorithm::EdDsa, "a")), Err(TokenError::Algorithm));
    assert_eq!(says(&verifier, &token(Algorithm::EdDsa, "b")), Ok(()));
}

#[tokio::test]
async fn a_rotated_key_is_found_by_the_first_token_that_names_it() {
    let server = Server::start(set(&[jwk(Algorithm::Es256, "old")])).await;
    let verifier = start(&with_jwks("", &server.url(), PACE));
    let (old, new) = (token(Algorithm::Es256, "old"), token(Algorithm::EdDsa, "new"));
    assert_eq!(verifier.verify_patiently(&old, NOW).await.map(drop), Ok(()));
    server.answer(set(&[jwk(Algorithm::EdDsa, "new")]));
    sleep(PACE.between).await;
    assert_eq!(verifier.verify_patiently(&new, NOW).await.map(drop), Ok(()), "it waits for the fetch");
    assert_eq!(says(&verifier, &old), Err(TokenError::UnknownKey), "what was taken out of the set is no longer known");
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn keys_are_fetched_again_when_they_are_old() {
    let old = Answer::Text(json!({"keys": [jwk(Algorithm::Es256, "old")]}).to_string(), "max-age=0, no-cache");
    let server = Server::start(old).await;
    let verifier = start(&with_jwks("", &server.url(), PACE));
    until("fetched", || verifier.jwks().unwrap().keys == 1).await;
    until("fetched again", || verifier.jwks().unwrap().fetches > 1).await;
    server.answer(set(&[jwk(Algorithm::EdDsa, "new")]));
    until("the new key", || says(&verifier, &token(Algorithm::EdDsa, "new")).is_ok()).await;
    // What these questions have asked for.
    sleep(PACE.between * 3).await;
    // From now on, for an hour; what it said before was bounded from below.
    let requests = server.requests();
    sleep(PACE.least * 3).await;
    assert_eq!(server.requests(), requests);
}

/// Whoever answers that nothing may be kept is not asked without end.
#[tokio::test]
async fn a_set_is_kept_for_a_while_whatever_it_says() {
    let server = Server::start(Answer::Text(text(&[jwk(Algorithm::Es256, "a")]), "no-store, max-age=0")).await;
    let begun = Instant::now();
    let verifier = start(&with_jwks("", &server.url(), Pace { least: Duration::from_millis(300), ..PACE }));
    sleep(Duration::from_secs(1)).await;
    let most = begun.elapsed().as_millis() / 270 + 1;
    let fetches = u128::from(verifier.jwks().unwrap().fetches);
    assert!((2..=most).contains(&fetches), "{fetches}");
}

/// A flood of tokens with invented keys asks no more often than is allowed.
#[tokio::test]
async fn invented_keys_cause_no_flood() {
    let server = Server::start(set(&[jwk(Algorithm::Es256, "a")])).await;
    let pace = Pace { between: Duration::from_millis(400), ..PACE };
    let verifier = start(&with_jwks("", &server.url(), pace));
    until("fetched", || verifier.jwks().unwrap().keys == 1).await;
    let begun = Instant::now();
    let forged = token(Algorithm::EdDsa, "invented");
    while begun.elapsed() < Duration::from_secs(1) {
        assert_eq!(says(&verifier, &forged), Err(TokenError::UnknownKey));
        sleep(Duration::from_millis(1)).await;
    }
    let asked = server.requests() - 1;
    assert!((1..=3).contains(&asked), "{asked}");
    // And who waits for nothing is not made to wait.
    until("a fetch", || server.requests() > asked + 1 || verifier.jwks().unwrap().fetches > 0).await;
}

#[tokio::test]
async fn while_it_is_away_the_keys_that_are_known_hold() {
    let server = Server::start(set(&[jwk(Algorithm::Es256, "a")])).await;
    let verifier = start(&with_jwks("", &server.url(), PACE));
    let (good, other) = (token(Algorithm::Es256, "a"), token(Algorithm::EdDsa, "b"));
    assert_eq!(verifier.verify_patiently(&good, NOW).await.map(drop), Ok(()));
    for trouble in [
        Answer::Close,
        // Only an answer that is one counts, whatever it contains.
        Answer::Status("500 Internal Server Error", text(&[jwk(Algorithm::EdDsa, "b")])),
        Answer::Status("404 Not Found", text(&[jwk(Algorithm::EdDsa, "b")])),
        Answer::Status("206 Partial Content", text(&[jwk(Algorithm::EdDsa, "b")])),
        Answer::Text("<html>".to_owned(), "max-age=0"),
        Answer::Text("{\"keys\":[]}".to_owned(), "max-age=0"),
        Answer::Cut("{\"keys\":".to_owned()),
        Answer::Silence,
        Answer::Endless,
    ] {
        server.answer(trouble);
        let failures = verifier.jwks().unwrap().failures;
        until("a failure", || {
            let _ = says(&verifier, &other);
            verifier.jwks().unwrap().failures > failures
        })
        .await;
        assert_eq!(says(&verifier, &good), Ok(()));
        assert_eq!(says(&verifier, &other), Err(TokenError::UnknownKey));
    }
    server.answer(set(&[jwk(Algorithm::EdDsa, "b")]));
    until("back", || says(&verifier, &other).is_ok()).await;
}

/// As long as nothing is known it is not said that a key does not exist.
#[tokio::test]
async fn away_from_the_start() {
    let server = Server::start(Answer::Close).await;
    let verifier = start(&with_jwks(&spec(Algorithm::Hs256, Some("own")), &server.url(), PACE));
    until("a failure", || verifier.jwks().unwrap().failures > 0).await;
    let error = says(&verifier, &token(Algorithm::Es256, "a")).unwrap_err();
    assert_eq!(error, TokenError::KeysAway);
    assert!(error.is_temporary());
    assert_eq!(says(&verifier, &token(Algorithm::Hs256, "own")), Ok(()), "what the settings have is known");
    server.answer(set(&[jwk(Algorithm::Es256, "a")]));
    until("there", || says(&verifier, &token(Algorithm::Es256, "a")).is_ok()).await;
}

#[tokio::test]
async fn a_slow_one_is_given_up() {
    let server = Server::start(Answer::Silence).await;
    let verifier = start(&with_jwks("", &server.url(), PACE));
    let begun = Instant::now();
    until("a failure", || verifier.jwks().unwrap().failures > 0).await;
    assert!(begun.elapsed() >= PACE.patience);
}

#[tokio::test]
async fn a_huge_one_is_not_read() {
    let fits = json!({"keys": [jwk(Algorithm::Es256, "a")], "filler": "x".repeat(100_000)}).to_string();
    let server = Server::start(Answer::Text(fits, "max-age=0")).await;
    let verifier = start(&with_jwks("", &server.url(), PACE));
    until("fetched", || verifier.jwks().unwrap().keys == 1).await;
    let large = json!({"keys": [jwk(Algorithm::EdDsa, "b")], "filler": "x".repeat(140_000)}).to_string();
    server.answer(Answer::Text(large, "max-age=0"));
    until("a failure", || verifier.jwks().unwrap().failures > 0).await;
    assert_eq!(says(&verifier, &token(Algorithm::Es256, "a")), Ok(()));
    assert_eq!(says(&verifier, &token(Algorithm::EdDsa, "b")), Err(TokenError::UnknownKey));
}

/// Whoever can make the server redirect would otherwise choose the keys.
#[tokio::test]
async fn a_redirection_is_not_followed() {
    let theirs = Server::start(set(&[jwk(Algorithm::EdDsa, "theirs")])).await;
    let server = Server::start(Answer::Redirect(theirs.url(), text(&[jwk(Algorithm::EdDsa, "theirs")]))).await;
    let verifier = start(&with_jwks("", &server.url(), PACE));
    until("a failure", || verifier.jwks().unwrap().failures > 0).await;
    assert_eq!(says(&verifier, &token(Algorithm::EdDsa, "theirs")), Err(TokenError::KeysAway));
    assert_eq!(theirs.requests(), 0);
}

/// The certificate has to be from an authority that is trusted, and for that name.
#[tokio::test]
async fn over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let certificates = Certificates::make(dir.path());
    let server = Server::start_tls(set(&[jwk(Algorithm::Es256, "a")]), &certificates).await;
    let other_dir = tempfile::tempdir().unwrap();
    let of_another = Certificates::of_names(other_dir.path(), "DNS:other.example");
    let other = Server::start_tls(set(&[jwk(Algorithm::Es256, "a")]), &of_another).await;
    let with = |server: &Server, ca_file: Option<&str>| {
        let url = format!("https://localhost:{}/jwks", server.address.port());
        let mut settings = with_jwks("", &url, PACE);
        settings.jwks.as_mut().unwrap().ca_file = ca_file.map(PathBuf::from);
        start(&settings)
    };
    let trusted = with(&server, Some(&certificates.ca));
    until("fetched", || trusted.jwks().unwrap().keys == 1).await;
    assert_eq!(says(&trusted, &token(Algorithm::Es256, "a")), Ok(()));
    let by_system = with(&server, None);
    let other_name = with(&other, Some(&of_another.ca));
    for refused in [by_system, other_name] {
        until("a failure", || refused.jwks().unwrap().failures > 0).await;
        assert_eq!(refused.jwks().unwrap().keys, 0);
    }
    let mut settings = with_jwks("", "https://localhost/jwks", PACE);
    settings.jwks.as_mut().unwrap().ca_file = Some("/no/such/file".into());
    let error = Verifier::new(&settings, Arc::default()).unwrap_err().to_string();
    assert!(error.contains("AUTH_JWKS_CA_FILE /no/such/file"), "{error}");
}
