//! Header fields that are lists. RFC 9110 lets a sender write a list over several lines, in any order and in any case.

mod accept;

use axum::http::{HeaderMap, HeaderName};

pub use accept::{Offer, preferred};

/// The elements of a list, over all its lines in order, without blanks and without empty elements. Quotes do not protect a comma: a client
/// that could hide the comma of a proxy behind a quote could hide the address that the proxy has written.
pub(crate) fn list(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(name).into_iter();
    lines
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|it| !it.is_empty())
}

/// Whether a list contains this word.
pub(crate) fn has_word(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    list(headers, name).any(|it| it.eq_ignore_ascii_case(word.as_bytes()))
}

/// Whether `If-None-Match` names this entity tag. The comparison is weak (RFC 9110, 13.1.2), because a proxy that compresses makes the tag weak.
pub(crate) fn knows_tag(headers: &HeaderMap, tag: &str) -> bool {
    list(headers, axum::http::header::IF_NONE_MATCH)
        .any(|known| known == b"*" || known.strip_prefix(b"W/").unwrap_or(known) == tag.as_bytes())
}

#[cfg(test)]
mod tests {
    use axum::http::header::{CONNECTION, IF_NONE_MATCH};

    use super::*;

    fn headers(name: &HeaderName, lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, line.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_list_may_be_written_in_many_ways() {
        for (lines, found) in [
            (&["upgrade"][..], true),
            (&["Upgrade"], true),
            (&["keep-alive, UPGRADE"], true),
            (&["keep-alive", "Upgrade"], true),
            (&["keep-alive,upgrade,close"], true),
            (&[" , ,\tupgrade "], true),
            (&["upgrades"], false),
            (&["no upgrade"], false),
            (&[""], false),
            (&[], false),
        ] {
            assert_eq!(has_word(&headers(&CONNECTION, lines), CONNECTION, "upgrade"), found, "{lines:?}");
        }
    }

    #[test]
    fn tags_are_compared_weakly() {
        for (lines, known) in [
            (&["\"abc\""][..], true),
            (&["W/\"abc\""], true),
            (&["\"x\", \"abc\""], true),
            (&["\"x\",W/\"abc\",\"y\""], true),
            (&["\"x\"", "W/\"abc\""], true),
            (&["*"], true),
            (&["\"x\""], false),
            (&["abc"], false),
            (&["w/\"abc\""], false),
            (&["\"abcd\""], false),
            (&[], false),
        ] {
            assert_eq!(knows_tag(&headers(&IF_NONE_MATCH, lines), "\"abc\""), known, "{lines:?}");
        }
    }
}
