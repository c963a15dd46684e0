use url::{Host, Url};

/// The paths of the page's own media; `source.js` knows them too.
const PATHS: [&str; 2] = ["/test-picture", "/local-file"];
/// The host name that the page gives its own media. Such a host never exists (RFC 2606).
const NOWHERE: &str = "tandem.invalid";

/// Whether a url is media of this server's own page. Such a url must point to this deployment, to the member's own machine, or nowhere. The
/// host by which the client reached this node is not trusted.
pub(super) fn is_own_media(url: &str, public_host: Option<&str>) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let is_here = match url.host() {
        Some(Host::Domain(name)) => [NOWHERE, "localhost"].contains(&name),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let is_public = public_host.is_some() && url.host_str() == public_host;
    (is_here || is_public) && matches!(url.scheme(), "http" | "https") && PATHS.contains(&url.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_leads_nobody_elsewhere() {
        for own in [
            "https://tandem.invalid/test-picture",
            "https://tandem.invalid/local-file#name=film.mkv&size=7",
            "http://localhost:4001/test-picture",
            "http://127.0.0.1:4001/test-picture",
            "http://[::1]:4001/local-file#name=a&size=1",
            "https://watch.example.org/test-picture",
        ] {
            assert!(is_own_media(own, Some("watch.example.org")), "{own}");
        }
        for other in [
            "https://evil.org/test-picture",
            "https://tandem.invalid@evil.org/test-picture",
            "https://tandem.invalid.evil.org/test-picture",
            "https://tandem.invalid/other",
            "https://tandem.invalid/test-picture/../other",
            "http://10.0.0.1/test-picture",
            "ftp://localhost/test-picture",
            "https://other.example.org/test-picture",
            "/test-picture",
            "",
        ] {
            assert!(!is_own_media(other, Some("watch.example.org")), "{other}");
        }
        assert!(!is_own_media("https://watch.example.org/test-picture", None));
    }
}
