use jiff::{Span, Timestamp, Zoned, civil};

use crate::clock::Millis;

/// A point in time, given as a date or as a duration before now.
pub(super) fn moment(text: &str) -> Result<Millis, String> {
    let at = if let Ok(timestamp) = text.parse::<Timestamp>() {
        timestamp
    } else if let Ok(date) = text.parse::<civil::Date>() {
        date.to_zoned(jiff::tz::TimeZone::UTC).map_err(|error| error.to_string())?.timestamp()
    } else if let Ok(ago) = text.parse::<Span>() {
        Zoned::now().checked_sub(ago).map_err(|error| error.to_string())?.timestamp()
    } else {
        return Err("expected a date, a time such as 2026-11-22T20:15:00Z, or how long ago, such as 2h".to_owned());
    };
    Millis::try_from(at.as_millisecond()).map_err(|_| "expected a time after 1970".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        assert_eq!(moment("1970-01-02"), Ok(86_400_000));
        assert_eq!(moment("1970-01-01T00:00:01.5Z"), Ok(1_500));
        let (before, ago, after) = (moment("0s").unwrap(), moment("2h").unwrap(), moment("0s").unwrap());
        assert!((before..=after).contains(&(ago + 7_200_000)), "{before} {ago} {after}");
        assert!(moment("yesterday").is_err());
    }
}
