use jsonwebtoken::{
    DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;

use crate::token::{Algorithm, Key, KeySet, key_spec::MOST_KID_BYTES};

/// The maximum number of keys in a set.
const MOST_KEYS: usize = 64;

/// A set that cannot be used at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadDocument {
    #[error("it is no JSON object with a list `keys`")]
    NotJwks,
    #[error("it has more than {MOST_KEYS} keys")]
    TooMany,
    #[error("none of its keys can verify RS256, ES256 or EdDSA")]
    NoKey,
}

/// The keys of a set that can be used, and what became of the others.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) keys: KeySet,
    /// One sentence for each key that is not used.
    pub(super) ignored: Vec<String>,
}

#[derive(Deserialize)]
struct Raw {
    keys: Vec<Value>,
}

impl Document {
    /// Reads a set. A `kid` that two keys have is that of neither: which one a token means would depend on their order.
    pub(super) fn read(json: &[u8]) -> Result<Self, BadDocument> {
        let raw: Raw = serde_json::from_slice(json).map_err(|_| BadDocument::NotJwks)?;
        if raw.keys.len() > MOST_KEYS {
            return Err(BadDocument::TooMany);
        }
        let (mut keys, mut ignored): (Vec<Key>, Vec<String>) = (Vec::new(), Vec::new());
        for (number, value) in (1..).zip(raw.keys) {
            match key(value) {
                Ok(key) => keys.push(key),
                Err(why) => ignored.push(format!("key {number} {why}")),
            }
        }
        let same = |one: &Key, other: &Key| match (one.kid(), other.kid()) {
            (None, None) => one.algorithm() == other.algorithm(),
            (one, other) => one == other,
        };
        let twice: Vec<bool> =
            keys.iter().map(|key| keys.iter().filter(|other| same(key, other)).count() > 1).collect();
        if twice.contains(&true) {
            ignored.push("keys that share a kid, or have none, are not used".to_owned());
        }
        let unique = keys.into_iter().zip(twice).filter_map(|(key, twice)| (!twice).then_some(key)).collect();
        let keys = KeySet::new(unique).map_err(|_| BadDocument::NotJwks)?;
        if keys.is_empty() { Err(BadDocument::NoKey) } else { Ok(Self { keys, ignored }) }
    }
}

fn key(value: Value) -> Result<Key, &'static str> {
    // A secret that is published is none.
    if value.get("kty").and_then(Value::as_str) == Some("oct") {
        return Err("is a secret");
    }
    let jwk: Jwk = serde_json::from_value(value).map_err(|_| "cannot be read")?;
    let common = &jwk.common;
    if common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature)
        || common.key_operations.as_ref().is_some_and(|operations| !operations.contains(&KeyOperations::Verify))
    {
        return Err("is not for signatures");
    }
    let (algorithm, named) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::Rs256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (Algorithm::Es256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDsa, KeyAlgorithm::EdDSA)
        }
        _ => return Err("is of a kind that is not known here"),
    };
    if common.key_algorithm.is_some_and(|algorithm| algorithm != named) {
        return Err("is for another algorithm");
    }
    let kid = common.key_id.as_deref();
    if kid.is_some_and(|kid| kid.is_empty() || kid.len() > MOST_KID_BYTES) {
        return Err("has a kid that is empty or too long");
    }
    let key = DecodingKey::from_jwk(&jwk).map_err(|_| "cannot be read")?;
    Key::new(kid, algorithm, key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EC: &str = r#""kty":"EC","crv":"P-256","x":"EVs_o5-uQbTjL3chynL4wXgUg2R9q9UU8I5mEovUf84","y":"kGe5DgSIycKp8w9aJmoHhB1sB3QTugfnRWm5nU_TzsY""#;
    const ED: &str = r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;

    fn read(keys: &[String]) -> Result<Document, BadDocument> {
        Document::read(format!("{{\"keys\":[{}],\"more\":1}}", keys.join(",")).as_bytes())
    }

    #[test]
    fn only_what_verifies_is_taken() {
        let document = read(&[
            format!("{{{EC},\"kid\":\"ec\",\"use\":\"sig\",\"alg\":\"ES256\"}}"),
            format!("{{{ED},\"kid\":\"ed\"}}"),
            format!("{{{ED},\"kid\":\"enc\",\"use\":\"enc\"}}"),
            format!("{{{ED},\"kid\":\"ops\",\"key_ops\":[\"sign\"]}}"),
            format!("{{{EC},\"kid\":\"other\",\"alg\":\"ES384\"}}"),
            r#"{"kty":"oct","k":"aHVzaGh1c2hodXNoaHVzaGh1c2hodXNoaHVzaGh1c2g","kid":"oct"}"#.to_owned(),
            r#"{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"weak"}"#.to_owned(),
            r#"{"kty":"OKP","crv":"X25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"x"}"#.to_owned(),
            r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA","kid":"short"}"#.to_owned(),
            r#"{"kty":"future","kid":"future"}"#.to_owned(),
            "7".to_owned(),
        ])
        .unwrap();
        let mut kids: Vec<_> = document.keys.iter().filter_map(Key::kid).collect();
        kids.sort_unstable();
        assert_eq!(kids, ["ec", "ed"]);
        assert_eq!(document.ignored.len(), 9, "{:?}", document.ignored);
        assert!(!format!("{:?}", document.ignored).contains("aHVzaG"));
    }

    #[test]
    fn a_name_that_two_keys_have_is_that_of_neither() {
        let one = |key: &str, kid: &str| format!("{{{key},\"kid\":\"{kid}\"}}");
        let document = read(&[one(EC, "a"), one(ED, "a"), one(ED, "b")]).unwrap();
        assert!(document.keys.named("a").is_none() && document.keys.named("b").is_some());
        assert_eq!(read(&[one(EC, "a"), one(EC, "a")]).unwrap_err(), BadDocument::NoKey);
        let nameless = read(&[format!("{{{ED}}}"), format!("{{{ED}}}"), format!("{{{EC}}}")]).unwrap();
        assert_eq!(nameless.keys.len(), 1);
    }

    #[test]
    fn what_is_no_set_is_refused() {
        for wrong in ["", "[]", "{}", "{\"keys\":{}}", "<html>", "{\"keys\":[]"] {
            assert_eq!(Document::read(wrong.as_bytes()).unwrap_err(), BadDocument::NotJwks, "{wrong}");
        }
        assert_eq!(read(&[]).unwrap_err(), BadDocument::NoKey);
        let many: Vec<_> = (0..65).map(|number| format!("{{{ED},\"kid\":\"{number}\"}}")).collect();
        assert_eq!(read(&many).unwrap_err(), BadDocument::TooMany);
        assert_eq!(read(&many[..64]).unwrap().keys.len(), 64);
    }
}
