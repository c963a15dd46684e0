//! What claims mean.

use serde_json::{Value, json};
use tandem::{
    id::RoomId,
    token::{GrantedRole, Identity, Right, TokenError},
};

use super::keys::{NOW, NOW_S, said};

fn refused(changes: Value) -> TokenError {
    let shown = changes.to_string();
    said(changes).expect_err(&shown)
}

#[test]
fn a_token_says_who_holds_it() {
    let identity = said(json!({
        "device": "phone", "room": "film", "role": "co-host", "rights": ["join", "signal"], "name": "  Ana\u{202e} ",
        "metadata": {"avatar": "https://a.example/1.png"}, "jti": "t1", "nbf": NOW_S, "unknown": [1],
    }))
    .unwrap();
    assert_eq!(identity.user.as_str(), "ana#phone");
    assert_eq!(identity.subject.as_str(), "ana");
    assert_eq!(identity.role, Some(GrantedRole::CoHost));
    assert_eq!(identity.rights.iter().collect::<Vec<_>>(), [Right::Join, Right::Signal]);
    assert_eq!(identity.name.as_deref(), Some("Ana"));
    assert_eq!(identity.metadata.as_deref(), Some(r#"{"avatar":"https://a.example/1.png"}"#));
    assert_eq!(identity.jti.as_deref(), Some("t1"));
    assert_eq!((identity.expires_at, identity.issued_at), (NOW + 3_600_000, Some(NOW)));
    assert_eq!(identity.rooms.single(), Some(&RoomId::parse("film").unwrap()));
}

#[test]
fn what_a_token_leaves_out_it_leaves_to_the_room() {
    let identity = said(json!({})).unwrap();
    assert_eq!(identity.user, identity.subject);
    assert!(Right::ALL.iter().all(|right| identity.rights.has(*right)));
    assert!(identity.rooms.allow(&RoomId::parse("any").unwrap()));
    assert_eq!((identity.role, identity.name, identity.metadata, identity.jti), (None, None, None, None));
}

/// Each claim, as something that it cannot be. None of it counts as a claim that is absent.
#[test]
fn a_malformed_claim_is_refused() {
    let long = "x".repeat(129);
    for (claim, wrong) in [
        ("sub", vec![json!(1), json!(["ana"]), json!(""), json!("server"), json!("a\u{7}"), json!(long)]),
        ("device", vec![json!(1), json!(""), json!("x".repeat(125)), json!(false)]),
        ("room", vec![json!(1), json!(""), json!(["film"]), json!(long)]),
        ("rooms", vec![json!("film"), json!([1]), json!([""]), json!({}), json!(vec!["a"; 65])]),
        ("role", vec![json!("admin"), json!(1), json!("Host"), json!(["host"])]),
        ("rights", vec![json!("join"), json!(["fly"]), json!([1]), json!({"join": true})]),
        ("name", vec![json!(1), json!(["Ana"])]),
        ("metadata", vec![json!("x".repeat(1_100))]),
        ("iss", vec![json!(1), json!(["a"])]),
        ("aud", vec![json!(1), json!([1])]),
        ("exp", vec![json!("never"), json!("1900000000"), json!(true), json!([]), json!(-1), json!(1e30)]),
        ("nbf", vec![json!("1"), json!(false), json!(-1)]),
        ("iat", vec![json!("1"), json!(false)]),
        ("jti", vec![json!(1), json!(""), json!(long)]),
    ] {
        for value in wrong {
            assert_eq!(refused(json!({claim: value.clone()})), TokenError::Claim(claim), "{claim}: {value}");
        }
    }
}

#[test]
fn what_is_too_long_for_a_seat_is_cut_or_refused() {
    let name = said(json!({"name": "é".repeat(100)})).unwrap().name.unwrap();
    assert_eq!(name.chars().count(), Identity::MAX_NAME_CHARS);
    assert_eq!(said(json!({"name": "\u{200b}"})).unwrap().name, None);
    assert!(said(json!({"metadata": "x".repeat(1_000)})).is_ok());
}

#[test]
fn a_text_for_clients_names_the_claim() {
    for (changes, said) in [
        (json!({"exp": "never"}), "exp: not a value of this claim"),
        (json!({"exp": null}), "exp: missing"),
        (json!({"sub": null}), "sub: missing"),
        (json!({"exp": NOW_S - 100}), "exp: the token has expired"),
        (json!({"aud": "x"}), "aud: the token is not meant for this server"),
    ] {
        assert_eq!(refused(changes).to_string(), said);
    }
    let labels: std::collections::BTreeSet<_> = TokenError::ALL.iter().map(|error| error.label()).collect();
    assert_eq!(labels.len(), TokenError::ALL.len());
    let page = include_str!("../../docs/tokens.md").split("## Why a token is refused").nth(1).unwrap();
    for error in TokenError::ALL {
        let text = error.to_string();
        let row = page.lines().find(|line| line.starts_with(&format!("| `{}` |", error.label())));
        let row = row.unwrap_or_else(|| panic!("no {} in docs/tokens.md", error.label()));
        assert!(row.replace('…', "").contains(text.trim()), "{row}: {text}");
    }
}
