use std::net::IpAddr;

use hmac::{Hmac, Mac as _, digest::generic_array::GenericArray};
use rand::RngCore as _;
use sha2::Sha256;

use crate::{
    id::{ConnId, RoomId, UserId},
    room::Digest,
};

/// Codes are written in these: no letter that looks like a digit, one case.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Letters of a short code: 40 bits.
const CODE_LETTERS: u32 = 8;

/// The key of a deployment, and everything that is hashed with it. PINs, tokens and addresses are kept as keyed hashes only, so a stolen database
/// does not give away a six-digit PIN.
#[derive(Clone)]
pub struct Keys {
    mac: Hmac<Sha256>,
}

/// A fresh resume token: the text for the client, the hash for the seat.
#[derive(Debug, Clone)]
pub struct ResumeToken {
    /// 128 random bits in hex.
    pub text: Box<str>,
    /// What the seat keeps.
    pub digest: Digest,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}

impl Keys {
    /// Keys from the deployment's secret, which every node must share.
    pub fn new(secret: &[u8]) -> Self {
        // HMAC takes a key of any length; the other branch is for the types only.
        let mac = Hmac::new_from_slice(secret).unwrap_or_else(|_| Hmac::new(&GenericArray::default()));
        Self { mac }
    }

    /// Tells whether two nodes have the same secret, and nothing else of it.
    pub fn fingerprint(&self) -> String {
        String::from(Digest::new(self.hash("fingerprint", &[])))
    }

    /// The hash of a room's PIN.
    pub fn pin(&self, room: &RoomId, pin: &str) -> Digest {
        Digest::new(self.hash("pin", &[room.as_str(), pin]))
    }

    /// The hash of a seat's resume token.
    pub fn token(&self, user: &UserId, token: &str) -> Digest {
        Digest::new(self.hash("token", &[user.as_str(), token]))
    }

    /// The hash of a client's address.
    pub fn origin(&self, address: IpAddr) -> Digest {
        Digest::new(self.hash("origin", &[&address.to_string()]))
    }

    /// The origin of a client whose address nobody knows: it is that of no other connection.
    pub fn stranger(&self, conn: ConnId) -> Digest {
        Digest::new(self.hash("stranger", &[&conn.to_string()]))
    }

    /// A new resume token.
    pub fn fresh_token(&self, user: &UserId) -> ResumeToken {
        let mut random = [0_u8; 16];
        rand::rng().fill_bytes(&mut random);
        let text = format!("{:032x}", u128::from_be_bytes(random));
        ResumeToken { digest: self.token(user, &text), text: text.into() }
    }

    /// The short code of a room; `attempt` gives another one when it is taken. Every node finds the same codes, and nobody without the key can guess one.
    pub fn short_code(&self, room: &RoomId, attempt: u32) -> String {
        let hash = self.hash("code", &[room.as_str(), &attempt.to_string()]);
        let bits = hash.iter().take(8).fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        (0..CODE_LETTERS)
            .filter_map(|letter| ALPHABET.get(usize::try_from((bits >> (letter * 5)) & 31).ok()?))
            .map(|byte| char::from(*byte))
            .collect()
    }

    /// Parts are counted, so that no two lists of parts look alike.
    fn hash(&self, purpose: &str, parts: &[&str]) -> [u8; 32] {
        let mut mac = self.mac.clone();
        mac.update(purpose.as_bytes());
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac.finalize().into_bytes().into()
    }
}

/// A code as somebody may have typed it: any case, and the letters that the alphabet leaves out for their looks.
pub(crate) fn tidy_code(typed: &str) -> Option<String> {
    let tidy = |c: char| match c.to_ascii_lowercase() {
        'o' => Some('0'),
        'i' | 'l' => Some('1'),
        c if c.is_ascii_alphanumeric() => Some(c),
        _ => None,
    };
    (typed.len() <= 32)
        .then(|| typed.chars().map(tidy).collect::<Option<String>>())
        .flatten()
        .filter(|code| !code.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(name: &str) -> RoomId {
        RoomId::parse(name).unwrap()
    }

    #[test]
    fn hashes_depend_on_everything() {
        let (one, two) = (Keys::new(b"one"), Keys::new(b"two"));
        assert_eq!(one.pin(&room("a"), "1"), one.pin(&room("a"), "1"));
        assert_ne!(one.pin(&room("a"), "1"), two.pin(&room("a"), "1"));
        assert_ne!(one.pin(&room("a"), "1"), one.pin(&room("b"), "1"));
        assert_ne!(one.pin(&room("a1"), "1"), one.pin(&room("a"), "11"));
    }

    #[test]
    fn codes_are_stable_and_typeable() {
        let keys = Keys::new(b"k");
        let code = keys.short_code(&room("default_room_1"), 0);
        assert_eq!(code.len(), 8);
        assert_eq!(code, keys.short_code(&room("default_room_1"), 0));
        assert_ne!(code, keys.short_code(&room("default_room_1"), 1));
        assert_eq!(tidy_code(&code.to_uppercase()), Some(code));
        assert_eq!(tidy_code("ILO"), Some("110".to_owned()));
        assert_eq!(tidy_code("a/b"), None);
        assert_eq!(tidy_code(""), None);
    }
}
