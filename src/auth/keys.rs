use std::net::IpAddr;

use hmac::{Hmac, Mac as _, digest::generic_array::GenericArray};
use rand::RngCore as _;
use sha2::Sha256;

use crate::{
    id::{ConnId, RoomId, UserId},
    limit::Client,
    room::{Digest, Shown},
};

/// The alphabet of short codes: one case, and no letter that looks like a digit.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Length of a short code: 40 bits.
const CODE_LETTERS: u32 = 8;

/// The key of a deployment, and everything that is hashed with it. PINs, tokens and addresses are stored as keyed hashes only, so a stolen
/// database does not reveal a six-digit PIN.
#[derive(Clone)]
pub struct Keys {
    mac: Hmac<Sha256>,
    /// The other secret that nodes may have while the secret is being changed. Nothing new is made with it.
    before: Option<Hmac<Sha256>>,
}

/// A fresh resume token: the text for the client, the hash for the seat.
#[derive(Clone)]
pub struct ResumeToken {
    /// 128 random bits in hex.
    pub text: Box<str>,
    /// What the seat keeps.
    pub digest: Digest,
}

impl std::fmt::Debug for ResumeToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ResumeToken(..)")
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}

impl Keys {
    /// Keys from the deployment's secret, which every node must share.
    pub fn new(secret: &[u8]) -> Self {
        Self { mac: mac(secret), before: None }
    }

    /// Keys for the time in which some of what clients show was hashed with another secret.
    #[must_use]
    pub fn with_previous(self, secret: Option<&str>) -> Self {
        Self { before: secret.map(|secret| mac(secret.as_bytes())), ..self }
    }

    /// Fingerprints that show whether two nodes share a secret, and nothing else. The one in use comes first.
    pub fn fingerprints(&self) -> Vec<String> {
        let Shown { now, before } = self.shown("fingerprint", &[]);
        [Some(now), before].into_iter().flatten().map(String::from).collect()
    }

    /// The hash of a room's PIN.
    pub fn pin(&self, room: &RoomId, pin: &str) -> Shown {
        self.shown("pin", &[room.as_str(), pin])
    }

    /// The hash of a seat's resume token.
    pub fn token(&self, user: &UserId, token: &str) -> Shown {
        self.shown("token", &[user.as_str(), token])
    }

    /// The hash of a user who was erased: it shows that it was done, and does not name them.
    pub fn erased(&self, user: &UserId) -> Digest {
        self.shown("erased", &[user.as_str()]).now
    }

    /// The hash of a user of an invitation, so that uses are counted without a list of names.
    pub fn guest(&self, invitation: &str, user: &UserId) -> Digest {
        self.shown("guest", &[invitation, user.as_str()]).now
    }

    /// The hash of a client's address. Of an IPv6 address it is the network, /64, because a client has all addresses of it.
    pub fn origin(&self, address: IpAddr) -> Shown {
        self.shown("origin", &[&Client::from(address).to_string()])
    }

    /// The keys that sign invitations: that in use, and the other one while the secret is being changed.
    pub fn invitations(&self) -> ([u8; 32], Option<[u8; 32]>) {
        let of = |mac| hash(mac, "invitations", &[]);
        (of(&self.mac), self.before.as_ref().map(of))
    }

    /// The origin of a client with an unknown address: no other connection has it.
    pub fn stranger(&self, conn: ConnId) -> Digest {
        Digest::new(hash(&self.mac, "stranger", &[&conn.to_string()]))
    }

    /// A new resume token.
    pub fn fresh_token(&self, user: &UserId) -> ResumeToken {
        let mut random = [0_u8; 16];
        rand::rng().fill_bytes(&mut random);
        let text = format!("{:032x}", u128::from_be_bytes(random));
        ResumeToken { digest: self.token(user, &text).now, text: text.into() }
    }

    /// The short code of a room; another `attempt` gives another code when one is taken. Every node computes the same codes, and nobody without
    /// the key can guess one.
    pub fn short_code(&self, room: &RoomId, attempt: u32) -> String {
        let hash = hash(&self.mac, "code", &[room.as_str(), &attempt.to_string()]);
        let bits = hash.iter().take(8).fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        (0..CODE_LETTERS)
            .filter_map(|letter| ALPHABET.get(usize::try_from((bits >> (letter * 5)) & 31).ok()?))
            .map(|byte| char::from(*byte))
            .collect()
    }

    fn shown(&self, purpose: &str, parts: &[&str]) -> Shown {
        let with = |mac| Digest::new(hash(mac, purpose, parts));
        Shown { now: with(&self.mac), before: self.before.as_ref().map(with) }
    }
}

fn mac(secret: &[u8]) -> Hmac<Sha256> {
    // HMAC takes a key of any length; the other branch is for the types only.
    Hmac::new_from_slice(secret).unwrap_or_else(|_| Hmac::new(&GenericArray::default()))
}

/// The length of each part is hashed too, so that no two lists of parts collide.
fn hash(mac: &Hmac<Sha256>, purpose: &str, parts: &[&str]) -> [u8; 32] {
    let mut mac = mac.clone();
    mac.update(purpose.as_bytes());
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    mac.finalize().into_bytes().into()
}

/// Normalizes a typed code: any case, and the letters that the alphabet leaves out because they look like digits.
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
        assert_eq!(one.pin(&room("a"), "1").now, one.pin(&room("a"), "1").now);
        assert_ne!(one.pin(&room("a"), "1").now, two.pin(&room("a"), "1").now);
        assert_ne!(one.pin(&room("a"), "1").now, one.pin(&room("b"), "1").now);
        assert_ne!(one.pin(&room("a1"), "1").now, one.pin(&room("a"), "11").now);
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let keys = Keys::new(b"k");
        let origin = |address: &str| keys.origin(address.parse().unwrap()).now;
        assert_eq!(origin("2001:db8:1:2::3"), origin("2001:db8:1:2:ffff::4"));
        assert_ne!(origin("2001:db8:1:2::3"), origin("2001:db8:1:3::3"));
        assert_ne!(origin("192.0.2.1"), origin("192.0.2.2"));
        assert_eq!(origin("192.0.2.1"), origin("::ffff:192.0.2.1"));
    }

    #[test]
    fn a_secret_that_is_being_changed() {
        let (old, new) = (Keys::new(b"old"), Keys::new(b"new"));
        let changing = Keys::new(b"new").with_previous(Some("old"));
        let (user, address) = (UserId::parse("ana").unwrap(), "192.0.2.1".parse().unwrap());
        for (shown, of_old, of_new) in [
            (changing.pin(&room("a"), "1"), old.pin(&room("a"), "1"), new.pin(&room("a"), "1")),
            (changing.token(&user, "t"), old.token(&user, "t"), new.token(&user, "t")),
            (changing.origin(address), old.origin(address), new.origin(address)),
        ] {
            assert!(shown.fits(of_old.now) && shown.fits(of_new.now));
            assert!(!of_old.fits(shown.now) && of_new.fits(shown.now), "new things are made with the new secret");
        }
        let fresh = changing.fresh_token(&user);
        assert_eq!(fresh.digest, new.token(&user, &fresh.text).now);
        assert_eq!(changing.fingerprints(), [new.fingerprints(), old.fingerprints()].concat());
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
