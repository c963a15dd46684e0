use std::collections::HashMap;

use super::{Algorithm, Key, TokenError, head::Head};

/// Keys, and which one a token means.
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    named: HashMap<Box<str>, Key>,
    /// At most one of each algorithm.
    unnamed: Vec<Key>,
}

/// Keys of which it would not be clear which one a token means.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ambiguous {
    /// Two have the same name.
    #[error("two keys have the kid {0:?}")]
    Kid(Box<str>),
    /// Two of an algorithm have no name.
    #[error("two keys of {} have no kid: tokens could not say which one they mean", .0.name())]
    NoKid(Algorithm),
}

impl KeySet {
    /// A set of keys, each of which can be meant.
    pub fn new(keys: Vec<Key>) -> Result<Self, Ambiguous> {
        Self::check_names(keys.iter().map(|key| (key.kid(), key.algorithm())))?;
        let mut set = Self::default();
        for key in keys {
            match key.kid() {
                Some(kid) => drop(set.named.insert(kid.into(), key)),
                None => set.unnamed.push(key),
            }
        }
        Ok(set)
    }

    /// Checks names and algorithms of keys.
    pub(super) fn check_names<'a>(
        names: impl IntoIterator<Item = (Option<&'a str>, Algorithm)>,
    ) -> Result<(), Ambiguous> {
        let mut seen: Vec<(Option<&str>, Algorithm)> = Vec::new();
        for (kid, algorithm) in names {
            match kid {
                Some(kid) if seen.iter().any(|(other, _)| *other == Some(kid)) => {
                    return Err(Ambiguous::Kid(kid.into()));
                }
                None if seen.contains(&(None, algorithm)) => return Err(Ambiguous::NoKid(algorithm)),
                _ => seen.push((kid, algorithm)),
            }
        }
        Ok(())
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.named.len() + self.unnamed.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The keys, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.named.values().chain(&self.unnamed)
    }

    /// The key of a name.
    pub fn named(&self, kid: &str) -> Option<&Key> {
        self.named.get(kid)
    }

    /// The key of this set or, where it has none, of the other one, that a token means. Without a `kid` it is the one that has none, or
    /// else the only one of the algorithm.
    pub(super) fn meant<'a>(&'a self, other: &'a Self, head: &Head) -> Result<&'a Key, TokenError> {
        let key = if let Some(kid) = &head.kid {
            self.named(kid).or_else(|| other.named(kid)).ok_or(TokenError::UnknownKey)?
        } else {
            let fits = |key: &&Key| key.algorithm() == head.algorithm;
            let mut all = self.iter().chain(other.iter()).filter(fits);
            match (self.unnamed.iter().chain(&other.unnamed).find(fits), all.next(), all.next()) {
                (Some(nameless), ..) => nameless,
                (None, Some(only), None) => only,
                _ => return Err(TokenError::KeyNotNamed),
            }
        };
        if key.algorithm() == head.algorithm { Ok(key) } else { Err(TokenError::Algorithm) }
    }
}
