use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Algorithm, MAX_TOKEN_BYTES, TokenError,
    field::{Field, Object},
};

/// The header of a token, as far as it says anything here. Keys and addresses of keys in it (`jwk`, `jku`, `x5c`, `x5u`) say nothing.
#[derive(Debug, PartialEq)]
pub(super) struct Head {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    pub(super) typ: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Raw {
    alg: Field<String>,
    kid: Field<String>,
    typ: Field<String>,
    crit: Field<Value>,
}

impl Head {
    /// Looks at the header before anything is verified: it is what says which key to take.
    pub(super) fn read(token: &str) -> Result<Self, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong);
        }
        let mut parts = token.split('.');
        let (Some(header), Some(_), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(TokenError::Malformed("expected three parts"));
        };
        let json =
            URL_SAFE_NO_PAD.decode(header).map_err(|_| TokenError::Malformed("the header is not in base64url"))?;
        let Object(raw): Object<Raw> =
            serde_json::from_slice(&json).map_err(|_| TokenError::Malformed("the header is no object"))?;
        if raw.crit != Field::Absent {
            return Err(TokenError::Critical);
        }
        let alg = raw.alg.required("alg").map_err(|_| TokenError::Algorithm)?;
        let algorithm = Algorithm::ALL.into_iter().find(|known| known.name() == alg).ok_or(TokenError::Algorithm)?;
        Ok(Self { algorithm, kid: raw.kid.optional("kid")?, typ: raw.typ.optional("typ")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: &str) -> Result<Head, TokenError> {
        Head::read(&format!("{}.e30.c2ln", URL_SAFE_NO_PAD.encode(header)))
    }

    #[test]
    fn headers() {
        let head = read(r#"{"alg":"ES256","kid":"a","typ":"JWT","jku":"https://x","jwk":{}}"#).unwrap();
        assert_eq!(head, Head { algorithm: Algorithm::Es256, kid: Some("a".to_owned()), typ: Some("JWT".to_owned()) });
        for alg in ["none", "None", "", "HS512", "hs256", "RS256 ", "PS256"] {
            assert_eq!(read(&format!("{{\"alg\":\"{alg}\"}}")), Err(TokenError::Algorithm), "{alg}");
        }
        for alg in ["{}", r#"{"alg":null}"#, r#"{"alg":["HS256"]}"#, r#"{"alg":1}"#] {
            assert_eq!(read(alg), Err(TokenError::Algorithm), "{alg}");
        }
        for crit in ["[]", "null", r#"["exp"]"#, r#"["b64"]"#] {
            assert_eq!(read(&format!("{{\"alg\":\"HS256\",\"crit\":{crit}}}")), Err(TokenError::Critical), "{crit}");
        }
        assert_eq!(read(r#"{"alg":"HS256","kid":1}"#), Err(TokenError::Claim("kid")));
        assert_eq!(read(r#"{"alg":"HS256","kid":null}"#), Err(TokenError::Claim("kid")));
        for wrong in ["", "[]", "x", r#"{"alg":"HS256","alg":"none"}"#] {
            assert_eq!(read(wrong), Err(TokenError::Malformed("the header is no object")), "{wrong}");
        }
        for wrong in ["", "a", "a.b", "a.b.c.d", "."] {
            assert!(matches!(Head::read(wrong), Err(TokenError::Malformed(_))), "{wrong}");
        }
        assert_eq!(Head::read(&"a".repeat(MAX_TOKEN_BYTES + 1)), Err(TokenError::TooLong));
    }
}
