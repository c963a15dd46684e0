//! Invitations, and attacks on them.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tandem::{
    auth::Keys,
    id::RoomId,
    token::{Algorithm, GrantedRole, Invitation, InvitationKeys, NewInvitation, Revocation, Right, Target, TokenError},
};

use super::keys::{NOW, NOW_S, SECRET, claims, forge, signing, spec, verifier};

const HOUR: u64 = 3_600_000;
const HEADER: &str = r#"{"typ":"tandem-invitation+jwt","alg":"HS256"}"#;

fn keys(secret: &str, previous: Option<&str>) -> InvitationKeys {
    let (now, before) = Keys::new(secret.as_bytes()).with_previous(previous).invitations();
    InvitationKeys::new(&now, before.as_ref(), 24 * HOUR).unwrap()
}

fn key_of(secret: &str) -> [u8; 32] {
    Keys::new(secret.as_bytes()).invitations().0
}

fn new() -> NewInvitation {
    NewInvitation {
        room: RoomId::parse("film").unwrap(),
        role: Some(GrantedRole::CoHost),
        rights: Some([Right::Join, Right::Signal].into_iter().collect()),
        uses: Some(3),
        expires_at: NOW + HOUR,
    }
}

#[test]
fn an_invitation_says_what_it_was_made_for() {
    let keys = keys("the secret", None);
    let text = keys.sign(&new(), NOW).unwrap();
    let Invitation { room, role, rights, uses, expires_at, issued_at, id } = keys.verify(&text, NOW).unwrap();
    assert_eq!((room.as_str(), role, uses), ("film", Some(GrantedRole::CoHost), Some(3)));
    assert_eq!(rights.to_string(), "join,signal");
    assert_eq!((expires_at, issued_at), (NOW + HOUR, NOW));
    let other = keys.verify(&keys.sign(&new(), NOW).unwrap(), NOW).unwrap();
    assert_ne!(id, other.id, "uses are counted for each");
    assert!(text.len() < 400, "it is a part of a link: {}", text.len());
    assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)), "{text}");
    assert_eq!(keys.verify(&text, NOW + HOUR - 1).map(drop), Ok(()));
    assert_eq!(keys.verify(&text, NOW + HOUR).map(drop), Err(TokenError::Expired));
}

#[test]
fn an_altered_invitation() {
    let keys = keys("the secret", None);
    let text = keys.sign(&new(), NOW).unwrap();
    let parts: Vec<_> = text.split('.').collect();
    let payload: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    for (claim, value) in [
        ("room", json!("other")),
        ("role", json!("host")),
        ("uses", json!(1_000)),
        ("exp", json!(NOW_S + 1_000_000)),
        ("jti", json!("another")),
    ] {
        let mut altered = payload.clone();
        altered[claim] = value;
        let altered = [parts[0], &URL_SAFE_NO_PAD.encode(altered.to_string()), parts[2]].join(".");
        assert_eq!(keys.verify(&altered, NOW), Err(TokenError::Signature), "{claim}");
    }
    let unsigned = [&URL_SAFE_NO_PAD.encode(r#"{"typ":"tandem-invitation+jwt","alg":"none"}"#), parts[1], ""].join(".");
    assert_eq!(keys.verify(&unsigned, NOW), Err(TokenError::Algorithm));
}

#[test]
fn an_invitation_by_another_deployment() {
    let text = keys("another secret", None).sign(&new(), NOW).unwrap();
    assert_eq!(keys("the secret", None).verify(&text, NOW), Err(TokenError::Signature));
    // While the secret is changed, both hold.
    let changing = keys("the secret", Some("another secret"));
    assert!(changing.verify(&text, NOW).is_ok());
    let fresh = changing.sign(&new(), NOW).unwrap();
    assert!(keys("the secret", None).verify(&fresh, NOW).is_ok());
    assert_eq!(keys("another secret", None).verify(&fresh, NOW), Err(TokenError::Signature));
}

/// Neither is taken for the other, even where both are under one key.
#[test]
fn an_invitation_is_no_token_and_a_token_no_invitation() {
    let keys = keys("the secret", None);
    let token = signing(Algorithm::Hs256, None).sign(&claims(json!({"room": "film", "jti": "t"}))).unwrap();
    assert_eq!(keys.verify(&token, NOW), Err(TokenError::Kind));
    let verifier = verifier(&spec(Algorithm::Hs256, None));
    let invitation = keys.sign(&new(), NOW).unwrap();
    assert_eq!(verifier.verify(&invitation, NOW), Err(TokenError::Kind));
    let both = json!({"sub": "ana", "room": "film", "jti": "t", "iat": NOW_S, "exp": NOW_S + 60}).to_string();
    assert_eq!(verifier.verify(&forge(HEADER, &both, SECRET.as_bytes()), NOW), Err(TokenError::Kind));
    let under_ours = forge(r#"{"alg":"HS256"}"#, &both, &key_of("the secret"));
    assert_eq!(keys.verify(&under_ours, NOW), Err(TokenError::Kind));
    // The secret of the deployment itself signs nothing.
    let under_secret = forge(HEADER, &both, b"the secret");
    assert_eq!(keys.verify(&under_secret, NOW), Err(TokenError::Signature));
}

#[test]
fn an_invitation_needs_each_claim() {
    let keys = keys("the secret", None);
    let said = |claims: Value| keys.verify(&forge(HEADER, &claims.to_string(), &key_of("the secret")), NOW);
    let whole = json!({"room": "film", "exp": NOW_S + 60, "iat": NOW_S, "jti": "i"});
    assert!(said(whole.clone()).is_ok());
    for claim in ["room", "exp", "iat", "jti"] {
        let mut without = whole.clone();
        without.as_object_mut().unwrap().remove(claim);
        assert_eq!(said(without), Err(TokenError::Missing(claim)));
    }
    for (claim, wrong) in [
        ("room", json!("")),
        ("exp", json!("never")),
        ("uses", json!(0)),
        ("uses", json!(-1)),
        ("uses", json!("many")),
        ("role", json!("king")),
        ("rights", json!(["fly"])),
        ("jti", json!("")),
    ] {
        let mut broken = whole.clone();
        broken[claim] = wrong;
        assert_eq!(said(broken), Err(TokenError::Claim(claim)));
    }
}

#[test]
fn a_revoked_invitation() {
    let (keys, verifier) = (keys("the secret", None), verifier(&spec(Algorithm::Hs256, None)));
    let invitation = |now| keys.verify(&keys.sign(&new(), now).unwrap(), NOW).unwrap();
    let (one, two, later) = (invitation(NOW - 5_000), invitation(NOW - 5_000), invitation(NOW + 5_000));
    let revoke =
        |target| verifier.revoked().add(Revocation { target, issued_before: NOW, until: NOW + HOUR }, NOW).unwrap();
    revoke(Target::Token(one.id.clone()));
    assert!(verifier.revoked().has_invitation(&one, NOW) && !verifier.revoked().has_invitation(&two, NOW));
    assert!(!verifier.revoked().has_invitation(&one, NOW + HOUR), "it has expired");
    revoke(Target::Room(one.room.clone()));
    assert!(verifier.revoked().has_invitation(&two, NOW) && !verifier.revoked().has_invitation(&later, NOW));
}
