use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{Rules, TokenError, Verifier, claims::Claims, head::Head};
use crate::clock::Millis;

/// What a token says, and what each check says of it.
#[derive(Debug)]
pub struct Explanation {
    /// Its header, if that is JSON. Nobody vouches for it.
    pub header: Option<serde_json::Value>,
    /// Its claims, if they are JSON. Unless each check is passed, nobody vouches for them.
    pub claims: Option<serde_json::Value>,
    /// In the order in which they are made; with the first one that is not passed, a server refuses the token.
    pub checks: Vec<(&'static str, Result<(), TokenError>)>,
}

impl Explanation {
    /// Whether a server would accept the token.
    pub fn is_accepted(&self) -> bool {
        self.checks.iter().all(|(_, outcome)| outcome.is_ok())
    }

    pub(super) fn of_parts(token: &str) -> Self {
        let part = |place| {
            let json = URL_SAFE_NO_PAD.decode(token.split('.').nth(place)?).ok()?;
            serde_json::from_slice(&json).ok()
        };
        Self { header: part(0), claims: part(1), checks: Vec::new() }
    }
}

impl Verifier {
    /// Makes each check of [`Verifier::verify`] by itself, for people.
    pub fn explain(&self, token: &str, now: Millis) -> Explanation {
        let mut told = Explanation::of_parts(token);
        let head = match Head::read(token) {
            Ok(head) => head,
            Err(error) => {
                told.checks.push(("header", Err(error)));
                return told;
            }
        };
        told.checks.push(("header", Ok(())));
        let rules = self.rules();
        let opened = self.with_key(&rules, &head, |key| {
            told.checks.push(("key", Ok(())));
            key.open(token)
        });
        let claims = match opened {
            Ok(Ok(claims)) => {
                told.checks.push(("signature", Ok(())));
                Some(claims)
            }
            Ok(Err(error)) => {
                told.checks.push(("signature", Err(error)));
                Claims::unverified(token)
            }
            Err(error) => {
                told.checks.push(("key", Err(error)));
                Claims::unverified(token)
            }
        };
        if let Some(claims) = claims {
            told.checks.extend(Rules::CHECKS.iter().map(|(name, check)| (*name, check(&rules, &claims, now))));
        }
        if told.is_accepted() {
            told.checks.push(("the whole", self.verify(token, now).map(drop)));
        }
        told
    }
}
