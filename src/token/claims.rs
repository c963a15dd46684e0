use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;

use super::{
    GrantedRole, Rights,
    field::{Field, Object},
};
use crate::clock::Millis;

/// The end of the year 9999.
const LATEST: f64 = 253_402_300_799.0;

/// The claims of a token that mean something here, as they were written. A claim that is there twice makes the whole unreadable.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Claims {
    pub(super) sub: Field<String>,
    pub(super) device: Field<String>,
    pub(super) room: Field<String>,
    pub(super) rooms: Field<Vec<String>>,
    pub(super) role: Field<GrantedRole>,
    pub(super) rights: Field<Rights>,
    pub(super) name: Field<String>,
    pub(super) metadata: Field<Value>,
    pub(super) iss: Field<String>,
    pub(super) aud: Field<Audience>,
    pub(super) exp: Field<Seconds>,
    pub(super) nbf: Field<Seconds>,
    pub(super) iat: Field<Seconds>,
    pub(super) jti: Field<String>,
    /// Of invitations: how often one may be used.
    pub(super) uses: Field<u32>,
}

impl Claims {
    /// The claims of a token that nobody has verified: for people.
    pub(super) fn unverified(token: &str) -> Option<Self> {
        let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
        serde_json::from_slice::<Object<Self>>(&payload).ok().map(|claims| claims.0)
    }

    /// The name of a claim that cannot be read, in a token that nobody has verified: for the text of a refusal.
    pub(super) fn wrong_in(token: &str) -> Option<&'static str> {
        let claims = Self::unverified(token)?;
        let wrong = [
            ("sub", claims.sub.is_wrong()),
            ("iss", claims.iss.is_wrong()),
            ("aud", claims.aud.is_wrong()),
            ("exp", claims.exp.is_wrong()),
            ("nbf", claims.nbf.is_wrong()),
        ];
        wrong.into_iter().find_map(|(name, is_wrong)| is_wrong.then_some(name))
    }
}

/// One or several texts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub(super) enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    pub(super) fn contains(&self, wanted: &str) -> bool {
        match self {
            Self::One(one) => one == wanted,
            Self::Many(many) => many.iter().any(|one| one == wanted),
        }
    }
}

/// A NumericDate of RFC 7519: seconds since 1970, perhaps with a fraction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Seconds(f64);

impl Seconds {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within the bounds")]
    pub(super) fn millis(self) -> Millis {
        (self.0 * 1000.0) as Millis
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(from)?;
        if (0.0..=LATEST).contains(&seconds) { Ok(Self(seconds)) } else { Err(D::Error::custom("out of bounds")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::TokenError;

    fn exp(json: &str) -> Result<Option<Millis>, TokenError> {
        let claims: Claims = serde_json::from_str(json).unwrap();
        claims.exp.optional("exp").map(|exp| exp.map(Seconds::millis))
    }

    #[test]
    fn a_claim_that_cannot_be_read_is_not_one_that_is_absent() {
        assert_eq!(exp("{}"), Ok(None));
        assert_eq!(exp(r#"{"exp":12}"#), Ok(Some(12_000)));
        assert_eq!(exp(r#"{"exp":12.5}"#), Ok(Some(12_500)));
        assert_eq!(exp(r#"{"exp":1.2e1}"#), Ok(Some(12_000)));
        for wrong in ["null", "\"12\"", "true", "[12]", "{}", "-1", "1e300", "253402300800"] {
            assert_eq!(exp(&format!("{{\"exp\":{wrong}}}")), Err(TokenError::Claim("exp")), "{wrong}");
        }
        serde_json::from_str::<Claims>(r#"{"exp":1,"exp":2}"#).unwrap_err();
        serde_json::from_str::<Object<Claims>>("[\"ana\"]").unwrap_err();
    }

    #[test]
    fn an_audience_is_a_text_or_a_list() {
        let aud = |json: &str| serde_json::from_str::<Claims>(json).unwrap().aud.optional("aud");
        assert!(aud(r#"{"aud":"a"}"#).unwrap().unwrap().contains("a"));
        assert!(aud(r#"{"aud":["b","a"]}"#).unwrap().unwrap().contains("a"));
        assert!(!aud(r#"{"aud":"ab"}"#).unwrap().unwrap().contains("a"));
        for wrong in ["null", "1", "[1]", "{}"] {
            assert_eq!(aud(&format!("{{\"aud\":{wrong}}}")), Err(TokenError::Claim("aud")));
        }
    }
}
