use std::{fmt, ops::Deref};

use serde::Deserialize;

/// A text of a client that nobody else may see, such as a PIN or a token. It hides itself in logs and panics.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Confidential(Box<str>);

impl From<Box<str>> for Confidential {
    fn from(text: Box<str>) -> Self {
        Self(text)
    }
}

impl Deref for Confidential {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Confidential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Confidential(..)")
    }
}
