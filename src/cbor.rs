//! The parts of records in CBOR (RFC 8949) that have no encoding of their own there, or a longer one: numbers of frames, shared texts, ids.
//! Types derive the rest; the number of a field (`#[n(3)]`) is its name in records, and is never given to another field.

#![allow(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "the signatures that the derive macro calls")]

use std::sync::Arc;

use minicbor::{
    Decoder, Encoder,
    data::Type,
    decode::Error as DecodeError,
    encode::{Error as EncodeError, Write},
};

/// A text that is shared.
pub(crate) mod shared_text {
    use super::{Arc, DecodeError, Decoder, EncodeError, Encoder, Write};

    pub(crate) fn encode<C, W: Write>(
        text: &Arc<str>,
        to: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), EncodeError<W::Error>> {
        to.str(text)?.ok()
    }

    pub(crate) fn decode<C>(from: &mut Decoder<'_>, _: &mut C) -> Result<Arc<str>, DecodeError> {
        from.str().map(Arc::from)
    }

    /// The same, if there is one.
    pub(crate) mod option {
        use super::{Arc, DecodeError, Decoder, EncodeError, Encoder, Write};

        pub(crate) fn encode<C, W: Write>(
            text: &Option<Arc<str>>,
            to: &mut Encoder<W>,
            _: &mut C,
        ) -> Result<(), EncodeError<W::Error>> {
            to.encode(text.as_deref())?.ok()
        }

        pub(crate) fn decode<C>(from: &mut Decoder<'_>, _: &mut C) -> Result<Option<Arc<str>>, DecodeError> {
            let text: Option<&str> = from.decode()?;
            Ok(text.map(Arc::from))
        }

        pub(crate) fn is_nil(text: &Option<Arc<str>>) -> bool {
            text.is_none()
        }

        #[allow(clippy::unnecessary_wraps, clippy::option_option, reason = "the signature that the derive macro calls")]
        pub(crate) fn nil() -> Option<Option<Arc<str>>> {
            Some(None)
        }
    }
}

/// A value that is shared, if there is one.
pub(crate) mod shared {
    use minicbor::{Decode, Encode};

    use super::{Arc, DecodeError, Decoder, EncodeError, Encoder, Type, Write};

    pub(crate) fn encode<C, W: Write, T: Encode<C>>(
        value: &Option<Arc<T>>,
        to: &mut Encoder<W>,
        context: &mut C,
    ) -> Result<(), EncodeError<W::Error>> {
        match value {
            Some(value) => value.encode(to, context),
            None => to.null()?.ok(),
        }
    }

    pub(crate) fn decode<'b, C, T: Decode<'b, C>>(
        from: &mut Decoder<'b>,
        context: &mut C,
    ) -> Result<Option<Arc<T>>, DecodeError> {
        if from.datatype()? == Type::Null {
            return from.skip().map(|()| None);
        }
        T::decode(from, context).map(|value| Some(Arc::new(value)))
    }

    pub(crate) fn is_nil<T>(value: &Option<Arc<T>>) -> bool {
        value.is_none()
    }

    #[allow(clippy::unnecessary_wraps, clippy::option_option, reason = "the signature that the derive macro calls")]
    pub(crate) fn nil<T>() -> Option<Option<Arc<T>>> {
        Some(None)
    }
}

/// A number of a frame: one to nine bytes, the fewest that keep every bit of it.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "it is looked at first whether the number is kept; only a foreign record has others"
)]
pub(crate) mod number {
    use super::{DecodeError, Decoder, EncodeError, Encoder, Type, Write};

    /// Up to here every whole number is one of its own.
    const WHOLE: f64 = 9_007_199_254_740_992.0;

    pub(crate) fn encode<C, W: Write>(
        number: &f64,
        to: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), EncodeError<W::Error>> {
        let number = *number;
        #[allow(clippy::float_cmp, reason = "bits are compared")]
        let (is_whole, is_short) = (number.trunc() == number, f64::from(number as f32) == number);
        if is_whole && number.abs() <= WHOLE && !(number == 0.0 && number.is_sign_negative()) {
            to.i64(number as i64)?.ok()
        } else if is_short {
            to.f32(number as f32)?.ok()
        } else {
            to.f64(number)?.ok()
        }
    }

    pub(crate) fn decode<C>(from: &mut Decoder<'_>, _: &mut C) -> Result<f64, DecodeError> {
        match from.datatype()? {
            Type::F32 => from.f32().map(f64::from),
            Type::F64 => from.f64(),
            _ => from.i64().map(|number| number as f64),
        }
    }

    /// The same, if there is one.
    pub(crate) mod option {
        use super::{DecodeError, Decoder, EncodeError, Encoder, Type, Write};

        pub(crate) fn encode<C, W: Write>(
            number: &Option<f64>,
            to: &mut Encoder<W>,
            context: &mut C,
        ) -> Result<(), EncodeError<W::Error>> {
            match number {
                Some(number) => super::encode(number, to, context),
                None => to.null()?.ok(),
            }
        }

        pub(crate) fn decode<C>(from: &mut Decoder<'_>, context: &mut C) -> Result<Option<f64>, DecodeError> {
            if from.datatype()? == Type::Null {
                return from.skip().map(|()| None);
            }
            super::decode(from, context).map(Some)
        }

        pub(crate) fn is_nil(number: &Option<f64>) -> bool {
            number.is_none()
        }

        #[allow(clippy::unnecessary_wraps, clippy::option_option, reason = "the signature that the derive macro calls")]
        pub(crate) fn nil() -> Option<Option<f64>> {
            Some(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_keeps_every_bit_in_as_few_bytes_as_it_can() {
        for (value, bytes) in [
            (0.0, 1),
            (1.0, 1),
            (-1.0, 1),
            (-0.0, 5),
            (0.5, 5),
            (90.0, 2),
            (0.1, 9),
            (1_795_000_000_000.0, 9),
            (1_795_000_000_000.5, 9),
            (f64::MAX, 9),
            (f64::MIN_POSITIVE, 9),
            (9_007_199_254_740_993.0, 9),
            (f64::INFINITY, 5),
        ] {
            let mut encoder = Encoder::new(Vec::new());
            number::encode(&value, &mut encoder, &mut ()).unwrap();
            let record = encoder.into_writer();
            assert_eq!(record.len(), bytes, "{value}");
            let decoded = number::decode(&mut Decoder::new(&record), &mut ()).unwrap();
            assert_eq!(decoded.to_bits(), value.to_bits(), "{value}");
        }
    }
}
