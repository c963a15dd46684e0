use std::sync::Arc;

use url::Url;

use super::own_media::is_own_media;

/// The hosts of urls that rooms may watch.
#[derive(Debug, Clone, Default)]
pub struct UrlHosts {
    /// The allowed hosts and their subdomains; all hosts if the list is empty.
    allowed: Arc<[String]>,
    /// The host of this deployment, for the media of its own page.
    public: Option<Arc<str>>,
}

impl UrlHosts {
    /// The hosts of `URL_HOSTS`, and that of `PUBLIC_URL`.
    pub fn new(allowed: &[String], public: Option<&str>) -> Self {
        Self { allowed: allowed.into(), public: public.map(Into::into) }
    }

    /// Whether a room may watch `url`.
    pub fn allow(&self, url: &str) -> bool {
        self.allowed.is_empty() || self.lists(url) || is_own_media(url, self.public.as_deref())
    }

    fn lists(&self, url: &str) -> bool {
        let Ok(url) = Url::parse(url) else { return false };
        let host = url.host_str().unwrap_or_default();
        let of = |allowed: &String| host.strip_suffix(allowed.as_str());
        self.allowed.iter().filter_map(of).any(|sub| sub.is_empty() || sub.ends_with('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_their_subdomains_and_the_page_itself() {
        let hosts = UrlHosts::new(&["netflix.com".to_owned(), "localhost".to_owned()], Some("watch.example.org"));
        for good in [
            "https://netflix.com/",
            "https://www.netflix.com/watch/1",
            "http://localhost:4001/x",
            "https://watch.example.org/test-picture",
        ] {
            assert!(hosts.allow(good), "{good}");
        }
        for bad in [
            "https://evilnetflix.com/",
            "https://netflix.com.evil.org/",
            "https://netflix.com@evil.org/",
            "https://watch.example.org/other",
            "x",
        ] {
            assert!(!hosts.allow(bad), "{bad}");
        }
        assert!(UrlHosts::default().allow("https://anything.example.org/"));
    }
}
