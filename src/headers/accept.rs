//! What a client would like to be sent (RFC 9110, 12.5.1).

use axum::http::{HeaderMap, header};

/// A media type that can be sent, and what to send then.
pub struct Offer<T> {
    /// Such as `text/plain`, in lower case.
    pub kind: &'static str,
    /// A client that names a version wants this one.
    pub version: &'static str,
    /// What is chosen.
    pub choice: T,
}

impl<T> Offer<T> {
    /// The same media type for something else.
    pub fn map<U>(self, choice: impl FnOnce(T) -> U) -> Offer<U> {
        Offer { kind: self.kind, version: self.version, choice: choice(self.choice) }
    }
}

/// One of the media types that a client takes.
struct Range {
    kind: String,
    version: Option<String>,
    quality: f32,
}

/// The offer that the client likes best. `usual` is for a client that likes all of them, or none; the others have to be asked for by
/// their names, and win when they are liked as much.
pub fn preferred<T: Copy>(headers: &HeaderMap, usual: &Offer<T>, others: &[Offer<T>]) -> T {
    let ranges: Vec<Range> = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .filter_map(parse)
        .collect();
    let wildcards = [usual.kind.split('/').next().unwrap_or_default().to_owned() + "/*", "*/*".to_owned()];
    let mut best = named(&ranges, usual)
        .or_else(|| wildcards.iter().find_map(|wildcard| quality(&ranges, |range| range.kind == *wildcard)))
        .map_or((0.0, usual.choice), |quality| (quality, usual.choice));
    // From the last to the first: the first wins among equals.
    for offer in others.iter().rev() {
        if let Some(quality) = named(&ranges, offer)
            && quality > 0.0
            && quality >= best.0
        {
            best = (quality, offer.choice);
        }
    }
    best.1
}

fn named<T>(ranges: &[Range], offer: &Offer<T>) -> Option<f32> {
    quality(ranges, |range| {
        range.kind == offer.kind && range.version.as_ref().is_none_or(|version| version == offer.version)
    })
}

fn quality(ranges: &[Range], fits: impl Fn(&Range) -> bool) -> Option<f32> {
    ranges.iter().filter(|range| fits(range)).map(|range| range.quality).reduce(f32::max)
}

/// A range whose weight cannot be read is none.
fn parse(item: &str) -> Option<Range> {
    let mut parts = item.split(';').map(str::trim);
    let kind = parts.next()?.to_ascii_lowercase();
    let mut range = Range { kind, version: None, quality: 1.0 };
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        match name.trim().to_ascii_lowercase().as_str() {
            "version" => range.version = Some(value.trim().trim_matches('"').to_owned()),
            "q" => range.quality = value.trim().parse().ok().filter(|quality| (0.0..=1.0).contains(quality))?,
            _ => {}
        }
    }
    Some(range)
}
