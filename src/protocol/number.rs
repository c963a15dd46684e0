//! Writes JSON numbers as JavaScript does: integers have no `.0`, and all other numbers keep all their bits.

#![allow(clippy::trivially_copy_pass_by_ref, clippy::ref_option, reason = "serde calls these")]

use serde::Serializer;

/// 2^53: above it not every integer is an f64.
const EXACT: f64 = 9_007_199_254_740_992.0;

pub(super) fn serialize<S: Serializer>(number: &f64, out: S) -> Result<S::Ok, S::Error> {
    #[allow(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
    if number.fract() == 0.0 && number.abs() < EXACT {
        out.serialize_i64(*number as i64)
    } else {
        out.serialize_f64(*number)
    }
}

pub(super) mod option {
    use serde::Serializer;

    pub(in crate::protocol) fn serialize<S: Serializer>(number: &Option<f64>, out: S) -> Result<S::Ok, S::Error> {
        match number {
            Some(number) => super::serialize(number, out),
            None => out.serialize_none(),
        }
    }
}
