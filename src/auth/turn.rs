use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac as _};
use sha1::Sha1;

use crate::clock::Millis;

/// A time-limited TURN credential of the kind that coturn's `use-auth-secret` checks (draft-uberti-behave-turn-rest-00): the
/// name is `<expiry in unix seconds>:<user>`, the password the base64 of its HMAC-SHA1.
pub fn turn_credential(secret: &str, user: &str, expires: Millis) -> (String, String) {
    let username = format!("{}:{user}", expires / 1000);
    let password = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).map_or_else(
        |_| String::new(),
        |mut mac| {
            mac.update(username.as_bytes());
            STANDARD.encode(mac.finalize().into_bytes())
        },
    );
    (username, password)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf 1700000000:ana | openssl dgst -sha1 -hmac north -binary | base64`
    #[test]
    fn agrees_with_openssl() {
        let (name, password) = turn_credential("north", "ana", 1_700_000_000_000);
        assert_eq!(name, "1700000000:ana");
        assert_eq!(password, "/V6vMibmvRAPIMy3tyPu2GxFkDI=");
    }
}
