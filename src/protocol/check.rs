//! Checks of values, beyond their types.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::value::RawValue;
use url::Url;

use super::Confidential;
use crate::{
    room::{Json, MAX_POSITION},
    text,
};

/// The longest `id` of a frame, and the longest name of an application's event, in bytes.
pub(super) const MAX_LABEL_BYTES: usize = 64;
const MAX_PIN_BYTES: usize = 64;
const MAX_URL_BYTES: usize = 2_048;
pub(super) const MAX_USERNAME_CHARS: usize = 64;
const MAX_NOTE_CHARS: usize = 200;
/// 2^53: beyond it a clock in JavaScript no longer advances by single milliseconds.
const MAX_STAMP: f64 = 9_007_199_254_740_992.0;

pub(super) fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    in_range(f64::deserialize(from)?, MAX_POSITION)
}

pub(super) fn seconds_option<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    Option::<f64>::deserialize(from)?.map(|number| in_range(number, MAX_POSITION)).transpose()
}

/// Seconds or milliseconds: see [`crate::room::UrlTime`].
pub(super) fn url_time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    Option::<f64>::deserialize(from)?.map(|number| in_range(number, MAX_POSITION * 1000.0)).transpose()
}

/// The clock of the sender, in milliseconds, unchanged.
pub(super) fn stamp<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    match Option::<f64>::deserialize(from)? {
        Some(stamp) if !(0.0..=MAX_STAMP).contains(&stamp) => {
            Err(D::Error::custom("is not a time in milliseconds since 1970"))
        }
        stamp => Ok(stamp),
    }
}

fn in_range<E: serde::de::Error>(number: f64, most: f64) -> Result<f64, E> {
    if (0.0..=most).contains(&number) {
        // -0.0 is in range, but would be encoded differently.
        Ok(number.abs())
    } else {
        Err(E::custom(format_args!("is not between 0 and {most}")))
    }
}

pub(super) fn rate<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    match Option::<f64>::deserialize(from)? {
        Some(rate) if !(0.25..=4.0).contains(&rate) => Err(D::Error::custom("is between 0.25 and 4")),
        rate => Ok(rate),
    }
}

pub(super) fn pin<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Confidential>, D::Error> {
    match Option::<Confidential>::deserialize(from)? {
        Some(pin) if pin.len() > MAX_PIN_BYTES => Err(D::Error::custom("has more than 64 bytes")),
        Some(pin) if pin.is_empty() => Ok(None),
        pin => Ok(pin),
    }
}

/// A text for people is cleaned and cut instead of refused, because the clients that send it ignore errors.
pub(super) fn username<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Box<str>>, D::Error> {
    Ok(Option::<Cow<'de, str>>::deserialize(from)?.and_then(|name| text::clean(&name, MAX_USERNAME_CHARS)))
}

pub(super) fn note<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Box<str>>, D::Error> {
    Ok(Option::<Cow<'de, str>>::deserialize(from)?.and_then(|note| text::clean(&note, MAX_NOTE_CHARS)))
}

pub(super) fn event_name<'de, D: Deserializer<'de>>(from: D) -> Result<Box<str>, D::Error> {
    let name = Box::<str>::deserialize(from)?;
    if name.is_empty() || name.len() > MAX_LABEL_BYTES || name.chars().any(char::is_control) {
        return Err(D::Error::custom("is a name of 1 to 64 bytes"));
    }
    Ok(name)
}

pub(super) fn web_url<'de, D: Deserializer<'de>>(from: D) -> Result<Box<str>, D::Error> {
    let text = Box::<str>::deserialize(from)?;
    if text.len() > MAX_URL_BYTES {
        return Err(D::Error::custom("has more than 2048 bytes"));
    }
    if is_web(&text) && !text.chars().any(|c| c.is_control() || c.is_whitespace()) && !text::is_turning(&text) {
        Ok(text)
    } else {
        Err(D::Error::custom("is not an absolute http(s) URL"))
    }
}

/// `Url` repairs typing errors (`https:/x`, `https:\\x`). Clients with a stricter parser would go to another host than the one that was
/// checked, so the text must be valid as it is.
fn is_web(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| !host.starts_with(['/', '?', '#']))
        && !text.split(['?', '#']).next().unwrap_or_default().contains('\\')
        && Url::parse(text).is_ok_and(|url| url.has_host())
}

/// A field that is present, even if it is null.
pub(super) fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(from).map(Some)
}

pub(super) fn label<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Json>, D::Error> {
    match Option::<Json>::deserialize(from)? {
        Some(label) => mark(&label.0).map(Some).map_err(D::Error::custom),
        None => Ok(None),
    }
}

/// The `id` of a frame or of a negotiation.
pub(super) fn mark(raw: &RawValue) -> Result<Json, &'static str> {
    let text = raw.get();
    let fits = text.len() <= MAX_LABEL_BYTES + 2
        && (text.starts_with('"') && serde_json::from_str::<String>(text).is_ok() || text.parse::<i64>().is_ok());
    if fits { Ok(Json(raw.to_owned().into())) } else { Err("id is a string of at most 64 bytes, or an integer") }
}
