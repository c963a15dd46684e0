/// Which pages may open a WebSocket: all, those of one origin, all of a scheme (`chrome-extension://*`), or those of all subdomains
/// (`https://*.example.org`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginPattern {
    /// `*`
    Any,
    /// One origin, in lower case.
    One(String),
    /// Origins that begin and end like this, with at least one character in the place of the `*`.
    Like {
        /// The scheme, with its `://`.
        scheme: String,
        /// A dot, the domain, and the port if there is one; empty for every host and port.
        domain: String,
    },
}

/// The characters of a host and a port.
fn is_authority(text: &str, more: &[u8]) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte) || more.contains(&byte))
}

impl OriginPattern {
    /// Parses a pattern.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let origin = text.trim().trim_end_matches('/').to_ascii_lowercase();
        if origin == "*" {
            return Ok(Self::Any);
        }
        let (scheme, host) = origin.split_once("://").unwrap_or_default();
        let one = is_authority(host, b":[]");
        let of_domain = host.strip_prefix('*').filter(|domain| {
            domain.is_empty() || domain.strip_prefix('.').is_some_and(|domain| is_authority(domain, b":"))
        });
        match of_domain {
            _ if scheme.is_empty() || scheme.contains('*') => {}
            Some(domain) => return Ok(Self::Like { scheme: format!("{scheme}://"), domain: domain.to_owned() }),
            None if one => return Ok(Self::One(origin)),
            None => {}
        }
        Err(
            "expected *, an origin without a path, such as https://watch.example.org, all subdomains (https://*.example.org), or all origins \
             of a scheme (chrome-extension://*)",
        )
    }

    /// Whether a page of this origin may connect.
    pub fn allows(&self, origin: &[u8]) -> bool {
        let Ok(origin) = std::str::from_utf8(origin) else { return *self == Self::Any };
        match self {
            Self::Any => true,
            Self::One(one) => origin.eq_ignore_ascii_case(one),
            Self::Like { scheme, domain } => {
                let origin = origin.to_ascii_lowercase();
                let host = origin.strip_prefix(scheme.as_str()).and_then(|host| host.strip_suffix(domain.as_str()));
                // A port belongs to the domain; where there is none, every port is meant.
                let more: &[u8] = if domain.is_empty() { b":[]" } else { b"" };
                host.is_some_and(|host| is_authority(host, more))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_allows_what_it_names_and_nothing_that_only_looks_like_it() {
        for (pattern, allowed, refused) in [
            ("*", &["https://a.org", "null", "\u{ff}"][..], &[][..]),
            (
                "https://A.org/",
                &["https://a.org", "HTTPS://a.ORG"],
                &["http://a.org", "https://b.a.org", "https://a.org:444", ""],
            ),
            ("http://[::1]:3000", &["http://[::1]:3000"], &["http://[::1]"]),
            (
                "chrome-extension://*",
                &["chrome-extension://abcdefghijklmnop", "CHROME-extension://x"],
                &[
                    "chrome-extension://",
                    "moz-extension://abc",
                    "https://chrome-extension://abc",
                    "chrome-extension://a/b",
                    "null",
                ],
            ),
            (
                "https://*.example.org",
                &["https://a.example.org", "https://a.b.EXAMPLE.org"],
                &[
                    "https://example.org",
                    "https://.example.org.evil.net",
                    "https://evilexample.org",
                    "https://evil.net/.example.org",
                    "https://evil.net#.example.org",
                    "https://evil.net:1@a.example.org",
                    "http://a.example.org",
                    "https://a.example.org:8443",
                    "https://a.example.org.evil.net",
                    "https://.example.org",
                ],
            ),
            (
                "https://*.example.org:8443",
                &["https://a.example.org:8443"],
                &["https://a.example.org", "https://a.example.org:844"],
            ),
            ("http://*", &["http://localhost:3000", "http://[::1]:3000", "http://10.0.0.1"], &["https://a.org"]),
        ] {
            let parsed = OriginPattern::parse(pattern).unwrap();
            for origin in allowed {
                assert!(parsed.allows(origin.as_bytes()), "{pattern} should allow {origin}");
            }
            for origin in refused {
                assert!(!parsed.allows(origin.as_bytes()), "{pattern} should not allow {origin}");
            }
        }
        assert!(!OriginPattern::parse("https://*.a.org").unwrap().allows(b"https://\xff.a.org"));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for wrong in [
            "",
            "a.org",
            "*.a.org",
            "https://",
            "https://a.org/app",
            "https://*a.org",
            "https://a.*.org",
            "https://*.*.org",
            "https://a*",
            "*://a.org",
            "https://*.",
            "https://*.a.org/x",
            "https://a.org?x",
            "https://u@a.org",
            "https://a b.org",
            "**",
        ] {
            assert!(OriginPattern::parse(wrong).is_err(), "{wrong}");
        }
    }
}
