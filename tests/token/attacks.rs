//! The table of attacks. Each test fails if its check is switched off.

use std::sync::Arc;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use tandem::{
    id::{RoomId, UserId},
    token::{Algorithm, KeySpecs, MAX_TOKEN_BYTES, Revocation, Revoked, SigningKey, Target, TokenError, Verifier},
};

use super::keys::{NOW, NOW_S, SECRET, claims, forge, jwk, pair, said, settings, signing, spec, verifier};

const PLAIN: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

fn plain() -> String {
    claims(json!({})).to_string()
}

#[test]
fn each_algorithm_is_verified() {
    for algorithm in Algorithm::ALL {
        let token = signing(algorithm, Some("k")).sign(&claims(json!({}))).unwrap();
        let identity = verifier(&spec(algorithm, Some("k"))).verify(&token, NOW).unwrap();
        assert_eq!(identity.user.as_str(), "ana", "{algorithm:?}");
    }
}

#[test]
fn alg_none() {
    let verifier = verifier(&spec(Algorithm::Hs256, None));
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let header = json!({"alg": alg}).to_string();
        let signed = forge(&header, &plain(), SECRET.as_bytes());
        assert_eq!(verifier.verify(&signed, NOW), Err(TokenError::Algorithm), "{alg}");
        let unsigned = format!("{}.", signed.rsplit_once('.').unwrap().0);
        assert_eq!(verifier.verify(&unsigned, NOW), Err(TokenError::Algorithm), "{alg}");
    }
    let unsigned = format!("{}.{}.", URL_SAFE_NO_PAD.encode(PLAIN), URL_SAFE_NO_PAD.encode(plain()));
    assert_eq!(verifier.verify(&unsigned, NOW), Err(TokenError::Signature));
}

/// Everybody knows a public key: it must never be taken for a secret.
#[test]
fn a_public_key_as_a_secret() {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        let public = &pair(algorithm).public;
        let verifier = verifier(&spec(algorithm, Some("k")));
        for secret in [public.as_str(), public.trim_end()] {
            let token = forge(r#"{"alg":"HS256","kid":"k"}"#, &plain(), secret.as_bytes());
            assert_eq!(verifier.verify(&token, NOW), Err(TokenError::Algorithm), "{algorithm:?}");
            // It says the right algorithm, and is signed with the wrong one.
            let header = json!({"alg": algorithm.name(), "kid": "k"}).to_string();
            let token = forge(&header, &plain(), secret.as_bytes());
            assert_eq!(verifier.verify(&token, NOW), Err(TokenError::Signature), "{algorithm:?}");
        }
        let as_secret = KeySpecs::parse(&format!("k=HS256:{public}")).unwrap_err().to_string();
        assert!(as_secret.contains("is a PEM"), "{as_secret}");
    }
}

#[test]
fn an_algorithm_that_the_key_is_not_for() {
    let keys = Algorithm::ALL.map(|algorithm| spec(algorithm, Some(algorithm.name()))).join(",");
    let verifier = verifier(&keys);
    for signed_with in Algorithm::ALL {
        for named in Algorithm::ALL {
            let token = signing(signed_with, Some(named.name())).sign(&claims(json!({}))).unwrap();
            let outcome = verifier.verify(&token, NOW).map(drop);
            let expected = if signed_with == named { Ok(()) } else { Err(TokenError::Algorithm) };
            assert_eq!(outcome, expected, "{signed_with:?} as {named:?}");
        }
    }
}

#[test]
fn a_key_that_is_not_known() {
    let ours = format!("{},{}", spec(Algorithm::Hs256, Some("a")), spec(Algorithm::Es256, Some("b")));
    let verifier = verifier(&ours);
    let signed = |kid: Option<&str>, algorithm| signing(algorithm, kid).sign(&claims(json!({}))).unwrap();
    assert!(verifier.verify(&signed(Some("a"), Algorithm::Hs256), NOW).is_ok());
    assert!(verifier.verify(&signed(None, Algorithm::Hs256), NOW).is_ok(), "only one key has this algorithm");
    for kid in ["c", "A", "a ", "", "../a", "a\u{0}"] {
        assert_eq!(verifier.verify(&signed(Some(kid), Algorithm::Hs256), NOW), Err(TokenError::UnknownKey), "{kid:?}");
    }
    assert_eq!(verifier.verify(&signed(Some("b"), Algorithm::Hs256), NOW), Err(TokenError::Algorithm));
    assert_eq!(verifier.verify(&signed(None, Algorithm::EdDsa), NOW), Err(TokenError::KeyNotNamed));
}

#[test]
fn a_token_that_could_mean_two_keys() {
    let other = "another-secret-of-more-than-32-bytes-there-is";
    let two = format!("{},b=HS256:{other}", spec(Algorithm::Hs256, Some("a")));
    let nameless = signing(Algorithm::Hs256, None).sign(&claims(json!({}))).unwrap();
    assert_eq!(verifier(&two).verify(&nameless, NOW), Err(TokenError::KeyNotNamed));
    // Neither does the settings' order decide.
    let same = format!("{},a=HS256:{other}", spec(Algorithm::Hs256, Some("a")));
    let error = KeySpecs::parse(&same).unwrap_err().to_string();
    assert!(error.contains("two keys have the kid \"a\""), "{error}");
}

#[test]
fn out_of_its_time() {
    let leeway = 60;
    for (changes, outcome) in [
        (json!({"exp": NOW_S - leeway + 1}), Ok(())),
        (json!({"exp": NOW_S - leeway}), Err(TokenError::Expired)),
        (json!({"exp": 0}), Err(TokenError::Expired)),
        (json!({"exp": null}), Err(TokenError::Missing("exp"))),
        (json!({"exp": NOW_S + 7 * 24 * 3600 + leeway}), Ok(())),
        (json!({"exp": NOW_S + 7 * 24 * 3600 + leeway + 1}), Err(TokenError::Lifetime)),
        (json!({"nbf": NOW_S + leeway}), Ok(())),
        (json!({"nbf": NOW_S + leeway + 1}), Err(TokenError::NotYet)),
        (json!({"iat": NOW_S + leeway}), Ok(())),
        (json!({"iat": NOW_S + leeway + 1}), Err(TokenError::Future)),
        (json!({"iat": null}), Ok(())),
    ] {
        let shown = changes.to_string();
        assert_eq!(said(changes).map(drop), outcome, "{shown}");
    }
}

#[test]
fn from_another_issuer_or_for_another_service() {
    let key = signing(Algorithm::Hs256, None);
    let mut strict = settings(&spec(Algorithm::Hs256, None));
    strict.issuers = vec!["https://login.example.org".to_owned()];
    strict.audiences = vec!["tandem".to_owned(), "tandem-2".to_owned()];
    let strict = Verifier::new(&strict, Arc::default()).unwrap();
    let said = |changes: Value| strict.verify(&key.sign(&claims(changes)).unwrap(), NOW).map(drop);
    let iss = "https://login.example.org";
    for (changes, outcome) in [
        (json!({"iss": iss, "aud": "tandem"}), Ok(())),
        (json!({"iss": iss, "aud": ["other", "tandem-2"]}), Ok(())),
        (json!({"iss": "https://login.example.org/", "aud": "tandem"}), Err(TokenError::Issuer)),
        (json!({"iss": "", "aud": "tandem"}), Err(TokenError::Issuer)),
        (json!({"aud": "tandem"}), Err(TokenError::Missing("iss"))),
        (json!({"iss": iss, "aud": "other"}), Err(TokenError::Audience)),
        (json!({"iss": iss, "aud": []}), Err(TokenError::Audience)),
        (json!({"iss": iss, "aud": "tandem-22"}), Err(TokenError::Audience)),
        (json!({"iss": iss}), Err(TokenError::Missing("aud"))),
    ] {
        let shown = changes.to_string();
        assert_eq!(said(changes), outcome, "{shown}");
    }
    // RFC 7519, 4.1.3: who does not know what it is called is nobody's audience.
    assert_eq!(super::keys::said(json!({"aud": "tandem"})).map(drop), Err(TokenError::Audience));
}

#[test]
fn an_altered_token() {
    for algorithm in Algorithm::ALL {
        let verifier = verifier(&spec(algorithm, Some("k")));
        let token = signing(algorithm, Some("k")).sign(&claims(json!({}))).unwrap();
        let parts: Vec<_> = token.split('.').collect();
        let other = URL_SAFE_NO_PAD.encode(claims(json!({"sub": "ben"})).to_string());
        let payload = [parts[0], &other, parts[2]].join(".");
        assert_eq!(verifier.verify(&payload, NOW), Err(TokenError::Signature), "{algorithm:?}");
        let header = json!({"alg": algorithm.name(), "kid": "k", "typ": "x"}).to_string();
        let header = [&URL_SAFE_NO_PAD.encode(header), parts[1], parts[2]].join(".");
        assert_eq!(verifier.verify(&header, NOW), Err(TokenError::Signature), "{algorithm:?}");
        let bytes = URL_SAFE_NO_PAD.decode(parts[2]).unwrap();
        for place in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut altered = bytes.clone();
            altered[place] ^= 1;
            let altered = [parts[0], parts[1], &URL_SAFE_NO_PAD.encode(altered)].join(".");
            assert_eq!(verifier.verify(&altered, NOW), Err(TokenError::Signature), "{algorithm:?}");
        }
        for cut in [0, bytes.len() - 1] {
            let cut = [parts[0], parts[1], &URL_SAFE_NO_PAD.encode(&bytes[..cut])].join(".");
            assert_eq!(verifier.verify(&cut, NOW), Err(TokenError::Signature), "{algorithm:?}");
        }
    }
}

/// A token has one spelling; another one could pass a list of those that were seen.
#[test]
fn another_spelling_of_base64() {
    let verifier = verifier(&spec(Algorithm::Hs256, None));
    // A claim with which both alphabets differ, and a length that would be padded.
    let token = forge(PLAIN, &claims(json!({"name": "ÿÿÿ>>>???", "jti": "ab"})).to_string(), SECRET.as_bytes());
    assert!(verifier.verify(&token, NOW).is_ok());
    let parts: Vec<_> = token.split('.').collect();
    let bytes: Vec<_> = parts.iter().map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
    let mut spellings = vec![
        format!("{token}="),
        format!("{token}\n"),
        format!(" {token}"),
        format!("{token}."),
        format!("Bearer {token}"),
        bytes.iter().map(|part| STANDARD.encode(part)).collect::<Vec<_>>().join("."),
        bytes.iter().map(|part| URL_SAFE.encode(part)).collect::<Vec<_>>().join("."),
        [parts[0], parts[1], &format!("{}%3D", parts[2])].join("."),
    ];
    // The last letter of 32 bytes has two bits that mean nothing.
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = letters.iter().position(|letter| *letter == *parts[2].as_bytes().last().unwrap()).unwrap();
    let twin = char::from(letters[last ^ 1]);
    spellings.push(format!("{}{twin}", &token[..token.len() - 1]));
    for spelling in spellings {
        let outcome = verifier.verify(&spelling, NOW);
        assert!(matches!(outcome, Err(TokenError::Malformed(_))), "{spelling}: {outcome:?}");
    }
}

/// What the signature of ECDSA can be written as twice is one token for all that.
#[test]
fn the_other_signature_of_ecdsa_is_the_same_token() {
    let verifier = verifier(&spec(Algorithm::Es256, Some("k")));
    let key = signing(Algorithm::Es256, Some("k"));
    // Signatures are random, and what they sign is not.
    let (one, two) = (key.sign(&claims(json!({}))).unwrap(), key.sign(&claims(json!({}))).unwrap());
    assert_ne!(one, two);
    assert_eq!(verifier.verify(&one, NOW).unwrap().id, verifier.verify(&two, NOW).unwrap().id);
    let other = key.sign(&claims(json!({"jti": "2"}))).unwrap();
    assert_ne!(verifier.verify(&one, NOW).unwrap().id, verifier.verify(&other, NOW).unwrap().id);
}

/// Who signs does not say where the key is.
#[test]
fn a_key_in_the_header() {
    let verifier = verifier(&spec(Algorithm::Es256, Some("k")));
    let theirs = "the-secret-of-an-attacker-has-32-bytes-too";
    let own = jwk(Algorithm::EdDsa, "k");
    for (header, outcome) in [
        (json!({"alg": "HS256", "kid": "k", "jwk": {"kty": "oct", "k": "dGhl"}}), TokenError::Algorithm),
        (json!({"alg": "ES256", "kid": "k", "jwk": own}), TokenError::Signature),
        (json!({"alg": "ES256", "kid": "k", "jku": "http://127.0.0.1:1/jwks"}), TokenError::Signature),
        (json!({"alg": "ES256", "kid": "k", "x5u": "http://127.0.0.1:1/x"}), TokenError::Signature),
        (json!({"alg": "ES256", "kid": "k", "x5c": ["AAAA"]}), TokenError::Signature),
        (json!({"alg": "ES256", "kid": "http://127.0.0.1:1/jwks"}), TokenError::UnknownKey),
    ] {
        let token = forge(&header.to_string(), &plain(), theirs.as_bytes());
        assert_eq!(verifier.verify(&token, NOW), Err(outcome), "{header}");
    }
    // They are ignored, where the signature is right.
    let secret = super::keys::verifier(&spec(Algorithm::Hs256, None));
    let header = json!({"alg": "HS256", "jku": "http://127.0.0.1:1/jwks", "x5u": "http://127.0.0.1:1/x", "jwk": own});
    assert!(secret.verify(&forge(&header.to_string(), &plain(), SECRET.as_bytes()), NOW).is_ok());
}

#[test]
fn what_has_to_be_understood_and_is_not() {
    let verifier = verifier(&spec(Algorithm::Hs256, None));
    for header in [
        r#"{"alg":"HS256","crit":["exp"]}"#,
        r#"{"alg":"HS256","crit":["b64"],"b64":true}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256","crit":null}"#,
        r#"{"alg":"HS256","crit":"exp"}"#,
    ] {
        let token = forge(header, &plain(), SECRET.as_bytes());
        assert_eq!(verifier.verify(&token, NOW), Err(TokenError::Critical), "{header}");
    }
    let unencoded = forge(r#"{"alg":"HS256","b64":false}"#, &plain(), SECRET.as_bytes());
    assert!(matches!(verifier.verify(&unencoded, NOW), Err(TokenError::Malformed(_))));
}

/// Parsers differ in which of two members they take.
#[test]
fn a_claim_that_is_there_twice() {
    let verifier = verifier(&spec(Algorithm::Hs256, None));
    let twice = format!(r#"{{"sub":"ana","sub":"ben","exp":{}}}"#, NOW_S + 60);
    for token in [
        forge(PLAIN, &twice, SECRET.as_bytes()),
        forge(r#"{"alg":"HS256","alg":"HS256"}"#, &plain(), SECRET.as_bytes()),
        forge(PLAIN, "[]", SECRET.as_bytes()),
        // Values in the order of the server's own list of claims.
        forge(
            PLAIN,
            &json!(["ana", "x", "x", [], "host", [], "x", 1, "x", "x", NOW_S + 60]).to_string(),
            SECRET.as_bytes(),
        ),
        forge(r#"["HS256"]"#, &plain(), SECRET.as_bytes()),
        forge(PLAIN, "\"ana\"", SECRET.as_bytes()),
        forge(PLAIN, "", SECRET.as_bytes()),
        forge(PLAIN, "{", SECRET.as_bytes()),
    ] {
        let outcome = verifier.verify(&token, NOW);
        assert!(matches!(outcome, Err(TokenError::Malformed(_))), "{outcome:?}");
    }
}

#[test]
fn a_huge_token_is_not_decoded() {
    let verifier = verifier(&spec(Algorithm::Hs256, None));
    let sized = |bytes: usize| {
        let filler = "x".repeat(bytes);
        forge(PLAIN, &claims(json!({"filler": filler})).to_string(), SECRET.as_bytes())
    };
    assert!(verifier.verify(&sized(2_800), NOW).is_ok());
    assert!(sized(3_000).len() > MAX_TOKEN_BYTES);
    assert_eq!(verifier.verify(&sized(3_000), NOW), Err(TokenError::TooLong));
    assert_eq!(verifier.verify(&".".repeat(10_000_000), NOW), Err(TokenError::TooLong));
    let deep = format!(r#"{{"sub":"ana","exp":{},"metadata":{}1{}}}"#, NOW_S + 60, "[".repeat(500), "]".repeat(500));
    assert!(matches!(verifier.verify(&forge(PLAIN, &deep, SECRET.as_bytes()), NOW), Err(TokenError::Malformed(_))));
}

#[test]
fn a_token_before_it_is_known_what_was_revoked() {
    let revoked = Arc::new(Revoked::unread());
    let verifier = Verifier::new(&settings(&spec(Algorithm::Hs256, None)), Arc::clone(&revoked)).unwrap();
    let token = signing(Algorithm::Hs256, None).sign(&claims(json!({}))).unwrap();
    let refused = verifier.verify(&token, NOW).unwrap_err();
    assert_eq!((refused, refused.is_temporary()), (TokenError::RevocationsAway, true));
    revoked.set_read();
    assert!(verifier.verify(&token, NOW).is_ok());
}

#[test]
fn a_revoked_token() {
    let verifier = verifier(&spec(Algorithm::Hs256, None));
    let key = signing(Algorithm::Hs256, None);
    let token = |changes| key.sign(&claims(changes)).unwrap();
    let until = verifier.latest_end(NOW);
    let film = RoomId::parse("film").unwrap();
    let revoke = |target| verifier.revoked().add(Revocation { target, issued_before: NOW, until }, NOW).unwrap();
    let stolen = token(json!({"jti": "stolen"}));
    let other = token(json!({"jti": "other"}));
    assert!(verifier.verify(&stolen, NOW).is_ok());
    revoke(Target::Token("stolen".into()));
    assert_eq!(verifier.verify(&stolen, NOW), Err(TokenError::Revoked));
    assert!(verifier.verify(&other, NOW).is_ok());
    // Of a user: what was issued before, on each device, and what does not say when.
    revoke(Target::User(UserId::parse("ana").unwrap()));
    for changes in [json!({"iat": NOW_S - 1}), json!({"iat": null}), json!({"iat": NOW_S - 1, "device": "phone"})] {
        assert_eq!(verifier.verify(&token(changes), NOW), Err(TokenError::Revoked));
    }
    assert!(verifier.verify(&token(json!({"iat": NOW_S})), NOW).is_ok());
    assert!(verifier.verify(&token(json!({"iat": NOW_S - 1, "sub": "ben"})), NOW).is_ok());
    // Of a room.
    let ben = verifier.verify(&token(json!({"iat": NOW_S - 1, "sub": "ben"})), NOW).unwrap();
    assert_eq!(verifier.admit(&ben, &film, NOW), Ok(()));
    revoke(Target::Room(film.clone()));
    assert_eq!(verifier.admit(&ben, &film, NOW), Err(TokenError::Revoked));
    assert_eq!(verifier.admit(&ben, &RoomId::parse("other").unwrap(), NOW), Ok(()));
    // It is remembered for as long as any token of now could live.
    let longest = token(json!({"jti": "stolen", "exp": NOW_S + 7 * 24 * 3600 + 60}));
    assert_eq!(verifier.verify(&longest, until - 1), Err(TokenError::Revoked));
    assert_eq!(verifier.revoked().forget(until - 1), 3);
    assert_eq!(verifier.revoked().all().len(), 3);
    assert_eq!(verifier.verify(&longest, until + 60_000), Err(TokenError::Expired));
    // Other keys do not bring it back.
    verifier.reload(&settings(&spec(Algorithm::Hs256, None))).unwrap();
    assert_eq!(verifier.verify(&stolen, NOW), Err(TokenError::Revoked));
}

#[test]
fn a_room_that_the_token_is_not_for() {
    let verifier = verifier(&spec(Algorithm::Hs256, None));
    let identity = said(json!({"rooms": ["team-*"]})).unwrap();
    let admit = |room: &str| verifier.admit(&identity, &RoomId::parse(room).unwrap(), NOW);
    assert_eq!(admit("team-1"), Ok(()));
    for other in ["team", "Team-1", "my-team-1", "*"] {
        assert_eq!(admit(other), Err(TokenError::Room));
    }
}

#[test]
fn another_secret_of_the_same_name() {
    let verifier = verifier(&spec(Algorithm::Hs256, Some("k")));
    let theirs = SigningKey::secret(Some("k"), b"a-secret-of-more-than-thirty-two-bytez").unwrap();
    let token = theirs.sign(&claims(json!({}))).unwrap();
    assert_eq!(verifier.verify(&token, NOW), Err(TokenError::Signature));
}

/// Keys that are taken away verify nothing from then on.
#[test]
fn a_key_that_was_taken_away() {
    let both = format!("{},{}", spec(Algorithm::Hs256, Some("old")), spec(Algorithm::EdDsa, Some("new")));
    let verifier = verifier(&both);
    let old = signing(Algorithm::Hs256, Some("old")).sign(&claims(json!({}))).unwrap();
    let new = signing(Algorithm::EdDsa, Some("new")).sign(&claims(json!({}))).unwrap();
    assert!(verifier.verify(&old, NOW).is_ok() && verifier.verify(&new, NOW).is_ok());
    verifier.reload(&settings(&spec(Algorithm::EdDsa, Some("new")))).unwrap();
    assert_eq!(verifier.verify(&old, NOW), Err(TokenError::UnknownKey));
    assert!(verifier.verify(&new, NOW).is_ok());
    assert!(verifier.reload(&settings("")).is_err());
    assert!(verifier.verify(&new, NOW).is_ok(), "what cannot be used changes nothing");
}
