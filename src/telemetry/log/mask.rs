use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;

use super::fields::Fields;

/// Fields that name a person or a room.
const IDS: [&str; 8] = ["room", "user", "to", "by", "dead_user", "username", "client", "origin"];

/// Replaces ids and names by keyed hashes: lines of one person can still be found together, but nobody can be named.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mask {
    key: (u64, u64),
}

impl Mask {
    /// With a key made from `secret`, so that all nodes of a deployment write the same; without one, a key of this process.
    pub(super) fn new(secret: Option<&str>) -> Self {
        let Some(secret) = secret else { return Self { key: rand::random() } };
        let half = |number| {
            let mut hasher = SipHasher13::new_with_keys(number, 0x6c6f_672d_6d61_736b);
            hasher.write(secret.as_bytes());
            hasher.finish()
        };
        Self { key: (half(0), half(1)) }
    }

    pub(super) fn apply(self, fields: &mut Fields<'_>) {
        for id in IDS {
            fields.replace(id, |value| Some(self.hide(value)));
        }
    }

    fn hide(self, value: &str) -> String {
        let mut hasher = SipHasher13::new_with_keys(self.key.0, self.key.1);
        hasher.write(value.as_bytes());
        format!("~{:08x}", hasher.finish() >> 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(mask: Mask, value: &str) -> String {
        let mut fields = Fields::default();
        fields.set("user", value);
        fields.set("node", "n1");
        mask.apply(&mut fields);
        assert_eq!(fields.text("node").unwrap(), "n1");
        fields.text("user").unwrap().into_owned()
    }

    #[test]
    fn one_person_stays_one_person_under_one_secret() {
        let (one, same, other) = (Mask::new(Some("a secret")), Mask::new(Some("a secret")), Mask::new(Some("another")));
        assert_eq!(masked(one, "ada"), masked(same, "ada"));
        assert_ne!(masked(one, "ada"), masked(one, "bob"));
        assert_ne!(masked(one, "ada"), masked(other, "ada"));
        assert_ne!(masked(Mask::new(None), "ada"), masked(Mask::new(None), "ada"));
        assert!(!masked(one, "ada").contains("ada"));
    }
}
