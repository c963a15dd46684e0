use super::{NEWEST, OLDEST, RecordError};
use crate::ledger::{Entry, without_nul};

/// The begin of an entry, before its version.
const FORMAT: &str = "{\"format\":";

/// Encodes a ledger entry.
pub fn encode_entry(entry: &Entry, version: u8) -> Result<String, RecordError> {
    let json = serde_json::to_string(entry)?;
    Ok(format!("{FORMAT}{version},{}", json.strip_prefix('{').unwrap_or(&json)))
}

/// Decodes a ledger entry; an entry without a version has version 1.
pub fn decode_entry(text: &str) -> Result<Entry, RecordError> {
    let digits = text.strip_prefix(FORMAT).map(|rest| rest.split(',').next().unwrap_or_default());
    let written = digits.map_or(Ok(OLDEST), str::parse).map_err(|_| RecordError::Unversioned)?;
    if written > NEWEST {
        return Err(RecordError::Newer { written, reads: NEWEST });
    }
    let tidy = without_nul(text);
    Ok(serde_json::from_str(tidy.as_deref().unwrap_or(text))?)
}
