use std::fmt;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

/// The keyed hash of a secret (a PIN, a resume token, a client address). The core compares hashes in constant time and never sees the
/// secret itself.
#[derive(Clone, Copy, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(transparent)]
#[serde(into = "String", try_from = "String")]
pub struct Digest(#[cbor(n(0), with = "minicbor::bytes")] [u8; 16]);

impl Digest {
    /// Takes the first 16 bytes of a longer hash.
    pub fn new(hash: [u8; 32]) -> Self {
        let [head @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = hash;
        Self(head)
    }
}

/// The hashes of a secret that a client shows: with the key of the deployment and, while that is being changed, also with the previous one.
#[derive(Debug, Clone, Copy)]
pub struct Shown {
    /// The hash that is stored from now on.
    pub now: Digest,
    /// The hash that may have been stored before.
    pub before: Option<Digest>,
}

impl Shown {
    /// Whether the secret matches a stored hash.
    pub fn fits(&self, kept: Digest) -> bool {
        // Both are compared, so that the time does not tell which one it was.
        let before = self.before.map_or(0.into(), |before| before.0.ct_eq(&kept.0));
        (self.now.0.ct_eq(&kept.0) | before).into()
    }
}

impl From<Digest> for Shown {
    fn from(now: Digest) -> Self {
        Self { now, before: None }
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// Only what is stored is put into tables, so the time that this takes tells nothing.
impl std::hash::Hash for Digest {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(..)")
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        format!("{:032x}", u128::from_be_bytes(digest.0))
    }
}

impl TryFrom<String> for Digest {
    type Error = std::num::ParseIntError;
    fn try_from(hex: String) -> Result<Self, Self::Error> {
        u128::from_str_radix(&hex, 16).map(|number| Self(number.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_its_text_form_and_hides_in_logs() {
        let digest = Digest::new([7; 32]);
        assert_eq!(Digest::try_from(String::from(digest)).unwrap(), digest);
        assert_ne!(digest, Digest::new([8; 32]));
        assert_eq!(format!("{digest:?}"), "Digest(..)");
    }

    #[test]
    fn what_was_kept_under_the_key_before_still_fits() {
        let (old, new) = (Digest::new([1; 32]), Digest::new([2; 32]));
        let shown = Shown { now: new, before: Some(old) };
        assert!(shown.fits(new) && shown.fits(old) && !shown.fits(Digest::new([3; 32])));
        assert!(!Shown::from(new).fits(old));
    }
}
