//! Parsers of values. clap puts `invalid value '…' for '…'` in front of their messages.

use std::time::Duration;

use crate::room::Right;

use super::{BadCap, Caps, Network, OriginPattern, Resource, ice_url::ice_url, network::NotANetwork};

/// A day, the longest duration that any setting accepts.
const MOST_SECONDS: f64 = 86_400.0;
/// Minimum length of a secret, in bytes.
const LEAST_SECRET: usize = 16;

/// Seconds, with fractions.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=MOST_SECONDS).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!("expected seconds between 0 and {MOST_SECONDS}")),
    }
}

/// Seconds, more than zero.
pub(super) fn some_seconds(text: &str) -> Result<Duration, String> {
    match seconds(text)? {
        Duration::ZERO => Err("expected more than 0 seconds".to_owned()),
        duration => Ok(duration),
    }
}

/// A host's name.
pub(super) fn host(text: &str) -> Result<String, String> {
    let host = text.trim().trim_end_matches('.').to_ascii_lowercase();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    if host.is_empty() || host.starts_with('.') || !host.bytes().all(plain) {
        return Err("expected the name of a host, such as netflix.com, whose subdomains are included".to_owned());
    }
    Ok(host)
}

/// A pattern of origins.
pub(super) fn origin(text: &str) -> Result<OriginPattern, &'static str> {
    OriginPattern::parse(text)
}

/// A range of addresses.
pub(super) fn network(text: &str) -> Result<Network, NotANetwork> {
    Network::parse(text)
}

/// A cap of what a client address may have.
pub(super) fn cap(text: &str) -> Result<(Resource, u32), BadCap> {
    Caps::parse(text)
}

/// A path of this service, or a URL elsewhere.
pub(super) fn target(text: &str) -> Result<String, String> {
    let here = text.starts_with('/') && !text.starts_with("//");
    let elsewhere = || url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if here || elsewhere() {
        return Ok(text.to_owned());
    }
    Err("expected an address such as https://www.netflix.com/, or a path such as /".to_owned())
}

/// A STUN server.
pub(super) fn stun(text: &str) -> Result<String, String> {
    of_scheme(text, "stun", "expected stun:HOST or stun:HOST:PORT")
}

/// A TURN server.
pub(super) fn turn(text: &str) -> Result<String, String> {
    of_scheme(text, "turn", "expected turn:HOST, turn:HOST:PORT or turn:HOST:PORT?transport=udp")
}

fn of_scheme(text: &str, scheme: &str, expected: &str) -> Result<String, String> {
    let url = ice_url(text)?;
    if url.starts_with(scheme) { Ok(url) } else { Err(expected.to_owned()) }
}

/// A secret of a deployment, long enough not to be guessed.
pub(super) fn secret(text: &str) -> Result<String, String> {
    if text.len() < LEAST_SECRET {
        return Err(format!(
            "expected at least {LEAST_SECRET} bytes that nobody can guess: openssl rand -hex 32 makes some"
        ));
    }
    Ok(text.to_owned())
}

/// Something that guests may be allowed to do; to join they always are.
pub(super) fn right(text: &str) -> Result<Right, String> {
    match text.trim().parse() {
        Ok(Right::Join) | Err(_) => Err("expected one of control, broadcast, signal and moderate".to_owned()),
        Ok(right) => Ok(right),
    }
}

/// A number of things, at least one.
pub(super) fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a whole number above 0".to_owned()),
        Ok(number) => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_meant_is_refused_and_not_taken_for_something_else() {
        assert_eq!(host(" Netflix.com ").unwrap(), "netflix.com");
        for wrong in ["https://netflix.com/", "netflix.com/", "netflix.com:443", "*.netflix.com", ".com", ""] {
            host(wrong).unwrap_err();
        }
        for right in ["/", "/start", "https://www.netflix.com/"] {
            assert_eq!(target(right).unwrap(), right);
        }
        for wrong in ["netflix.com", "//netflix.com", "javascript:alert(1)", ""] {
            target(wrong).unwrap_err();
        }
        for right in ["stun:stun.example.org", "stuns:[2001:db8::1]:5349"] {
            assert_eq!(stun(right).unwrap(), right);
        }
        for wrong in ["nonsense", "stun:", "stun://a.org", "turn:a.org", "stun:a.org?transport=udp", ""] {
            stun(wrong).unwrap_err();
        }
        assert_eq!(turn("turn:a.org:3478?transport=udp").unwrap(), "turn:a.org:3478?transport=udp");
        turn("stun:a.org").unwrap_err();
    }
}
