use super::{NEWEST, OLDEST, RecordError};
use crate::ledger::{Entry, without_nul};

/// What an entry begins with, before the number of its version.
const FORMAT: &str = "{\"format\":";

/// An entry of the ledger.
pub fn encode_entry(entry: &Entry, version: u8) -> Result<String, RecordError> {
    let json = serde_json::to_string(entry)?;
    Ok(format!("{FORMAT}{version},{}", json.strip_prefix('{').unwrap_or(&json)))
}

/// An entry that a node wrote; one without a version is of the first.
pub fn decode_entry(text: &str) -> Result<Entry, RecordError> {
    let digits = text.strip_prefix(FORMAT).map(|rest| rest.split(',').next().unwrap_or_default());
    let written = digits.map_or(Ok(OLDEST), str::parse).map_err(|_| RecordError::Unversioned)?;
    if written > NEWEST {
        return Err(RecordError::Newer { written, reads: NEWEST });
    }
    let tidy = without_nul(text);
    Ok(serde_json::from_str(tidy.as_deref().unwrap_or(text))?)
}
