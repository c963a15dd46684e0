//! Maps to which a later release may add fields: what this one does not know is passed on.

use minicbor::{Decode, Decoder, Encode, Encoder, decode::Error, encode::write::Cursor};

use crate::room::UnknownFields;

/// Appends a map with its unknown fields.
pub(super) fn write<T: Encode<()>>(value: &T, unknown: &UnknownFields, to: &mut Vec<u8>) -> Result<(), Error> {
    if unknown.is_empty() {
        append(value, to);
        return Ok(());
    }
    let mut known = Vec::new();
    append(value, &mut known);
    let mut decoder = Decoder::new(&known);
    let fields = decoder.map()?.unwrap_or_default() + count(unknown.pairs())?;
    let mut header = Encoder::new(Cursor::new([0; 9]));
    header.map(fields).map_err(|_| Error::message("the header of a map has nine bytes at most"))?;
    let header = header.into_writer();
    to.extend(header.get_ref().iter().take(header.position()));
    to.extend(known.iter().skip(decoder.position()));
    to.extend(unknown.pairs());
    Ok(())
}

/// Appends a value.
pub(super) fn append<T: Encode<()>>(value: &T, to: &mut Vec<u8>) {
    // A vector takes everything.
    let _ = minicbor::encode(value, to);
}

/// Reads a map whose fields from number `known` on are unknown.
pub(super) fn read<'b, T: Decode<'b, ()>>(record: &'b [u8], known: u64) -> Result<(T, UnknownFields), Error> {
    let value = minicbor::decode(record)?;
    let mut decoder = Decoder::new(record);
    let mut unknown = Vec::new();
    for _ in 0..decoder.map()?.unwrap_or_default() {
        let begin = decoder.position();
        let number = decoder.u64()?;
        decoder.skip()?;
        if number >= known {
            unknown.extend(record.get(begin..decoder.position()).unwrap_or_default());
        }
    }
    Ok((value, unknown.into()))
}

/// The number of pairs.
fn count(pairs: &[u8]) -> Result<u64, Error> {
    let mut decoder = Decoder::new(pairs);
    let mut count = 0;
    while decoder.position() < pairs.len() {
        decoder.skip()?;
        decoder.skip()?;
        count += 1;
    }
    Ok(count)
}
