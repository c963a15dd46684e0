use std::time::Duration;

/// A duration such as 90 (seconds), 30m, 12h or 7d.
pub(super) fn ttl(text: &str) -> Result<Duration, &'static str> {
    const EXPECTED: &str = "expected a duration such as 90 (seconds), 30m, 12h or 7d";
    let text = text.trim();
    let (number, unit) = text.find(|c: char| !c.is_ascii_digit()).map_or((text, ""), |end| text.split_at(end));
    let unit = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(EXPECTED),
    };
    match number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)) {
        Some(0) | None => Err(EXPECTED),
        Some(seconds) => Ok(Duration::from_secs(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("30m", 1_800), ("12h", 43_200), (" 7d", 604_800)] {
            assert_eq!(ttl(text), Ok(Duration::from_secs(seconds)));
        }
        for wrong in ["", "0", "0h", "-1", "1.5h", "h", "1w", "1 h", "99999999999999999999", "18446744073709551615d"] {
            ttl(wrong).unwrap_err();
        }
    }
}
