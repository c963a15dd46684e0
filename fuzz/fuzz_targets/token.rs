//! A token: any bytes, or a header and claims that are signed with a known key. What is accepted was signed, and says what it is taken for.
//! The first byte says which: 0 is bytes, 1 a token that is signed, 2 one that is signed with what everybody knows, 3 an invitation. Those
//! have their header after a length of one byte, and their claims after one of two.
#![no_main]

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use libfuzzer_sys::fuzz_target;
use ring::hmac;
use serde_json::Value;
use tandem::token::{Identity, Invitation, InvitationKeys, KeySpecs, MAX_TOKEN_BYTES, Verifier, VerifierSettings};
use tandem_fuzz::{json::keys, pieces::Pieces};

/// Sunday, 1 November 2026, in seconds.
const NOW: u64 = 1_793_491_200;
const LEEWAY: u64 = 60;
const LIFETIME: u64 = 7 * 24 * 3600;
const SECRET: &str = "a-secret-of-more-than-thirty-two-bytes";
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";
const DERIVED: [u8; 32] = [7; 32];
const BEFORE: [u8; 32] = [8; 32];
const INVITATION: &str = "tandem-invitation+jwt";

/// The claims that mean something.
const MEANT: &[&str] = &[
    "sub", "device", "room", "rooms", "role", "rights", "name", "metadata", "iss", "aud", "exp", "nbf", "iat", "jti",
    "uses",
];

struct Judges {
    tokens: Verifier,
    invitations: InvitationKeys,
}

fn judges() -> &'static Judges {
    static JUDGES: OnceLock<Judges> = OnceLock::new();
    JUDGES.get_or_init(|| {
        let settings = VerifierSettings {
            keys: KeySpecs::parse(&format!("k=HS256:{SECRET},e=EdDSA:{PUBLIC}")).unwrap(),
            jwks: None,
            issuers: Vec::new(),
            audiences: Vec::new(),
            leeway: Duration::from_secs(LEEWAY),
            most_lifetime: Duration::from_secs(LIFETIME),
        };
        Judges {
            tokens: Verifier::new(&settings, Arc::default()).unwrap(),
            invitations: InvitationKeys::new(&DERIVED, Some(&BEFORE), LIFETIME * 1000).unwrap(),
        }
    })
}

fn sign(header: &[u8], claims: &[u8], secret: &[u8]) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The header and the claims, if this secret has signed them.
fn signed(text: &str, secret: &[u8]) -> Option<[Value; 2]> {
    let (message, signature) = text.rsplit_once('.')?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes(), &signature).ok()?;
    let (header, claims) = message.split_once('.')?;
    // What is ignored in a token need not be UTF-8.
    let text_of = |part| String::from_utf8_lossy(&URL_SAFE_NO_PAD.decode(part).unwrap()).into_owned();
    let parts = [header, claims].map(text_of);
    let names = keys(&parts[1]);
    for name in MEANT {
        assert!(names.iter().filter(|it| it == name).count() < 2, "{name} means two things: {text}");
    }
    Some(parts.map(|json| serde_json::from_str(&json).unwrap()))
}

fn check_token(text: &str) -> Option<Identity> {
    let identity = judges().tokens.verify(text, NOW * 1000).ok()?;
    let [header, claims] = signed(text, SECRET.as_bytes()).expect("what is accepted was signed");
    assert_eq!(header["alg"], "HS256", "{text}");
    assert!(header.get("crit").is_none() && header["typ"] != INVITATION, "{text}");
    assert!(header.get("kid").is_none_or(|kid| kid == "k"), "{text}");
    assert_eq!(claims["sub"], identity.subject.as_str(), "{text}");
    let exp = claims["exp"].as_f64().expect("an end");
    assert!(exp + LEEWAY as f64 > NOW as f64 && exp <= (NOW + LIFETIME + LEEWAY + 1) as f64, "{text}");
    assert!(claims.get("aud").is_none(), "it is for another service: {text}");
    assert!(text.len() <= MAX_TOKEN_BYTES);
    Some(identity)
}

fn check_invitation(text: &str) -> Option<Invitation> {
    let invitation = judges().invitations.verify(text, NOW * 1000).ok()?;
    let found = signed(text, &DERIVED).or_else(|| signed(text, &BEFORE));
    let [header, claims] = found.expect("what is accepted was signed");
    assert_eq!((&header["alg"], &header["typ"]), (&"HS256".into(), &INVITATION.into()), "{text}");
    assert_eq!(claims["room"], invitation.room.as_str(), "{text}");
    assert!(claims["exp"].as_f64().expect("an end") > NOW as f64, "{text}");
    Some(invitation)
}

/// With one character changed it is another text, which nobody has signed.
fn check_altered(text: &str, place: usize) {
    let mut bytes = text.as_bytes().to_vec();
    let at = place % bytes.len();
    bytes[at] = if bytes[at] == b'A' { b'Q' } else { b'A' };
    let altered = String::from_utf8(bytes).unwrap();
    assert!(judges().tokens.verify(&altered, NOW * 1000).is_err(), "{altered}");
    assert!(judges().invitations.verify(&altered, NOW * 1000).is_err(), "{altered}");
}

fuzz_target!(|data: &[u8]| {
    let Some((how, bytes)) = data.split_first() else { return };
    if *how == 0 {
        let text = String::from_utf8_lossy(bytes);
        let both = (check_token(&text), check_invitation(&text));
        assert!(!matches!(both, (Some(_), Some(_))), "{text}");
        let _ = judges().tokens.explain(&text, NOW * 1000);
        return;
    }
    let mut pieces = Pieces(bytes);
    let (Some(header), Some(claims)) = (pieces.short(), pieces.long()) else { return };
    let secret = match how {
        1 => SECRET.as_bytes(),
        3 => &DERIVED,
        _ => [PUBLIC, PUBLIC.trim_end(), "", "k", "e"][pieces.0.len() % 5].as_bytes(),
    };
    let text = sign(header, claims, secret);
    let (token, invitation) = (check_token(&text), check_invitation(&text));
    assert!(*how == 1 || token.is_none(), "{text}");
    assert!(*how == 3 || invitation.is_none(), "{text}");
    if token.is_some() || invitation.is_some() {
        check_altered(&text, pieces.0.iter().map(|byte| usize::from(*byte)).sum());
    }
});
