use url::Url;

/// The query parameters that name the referring link, not the page.
const VIA: &str = "trackId";

/// Whether two urls lead to the same page: players write the same address in several ways, with another case of the host, with or without the
/// slash at its end, or with the link that led there.
pub(crate) fn is_same_page(one: &str, other: &str) -> bool {
    one == other || Url::parse(one).is_ok_and(|one| Url::parse(other).is_ok_and(|other| essence(one) == essence(other)))
}

/// `Url` has normalized the scheme, the host, the port and the dots in a path.
fn essence(mut url: Url) -> Url {
    let rest: Vec<_> = url
        .query_pairs()
        .filter(|(name, _)| name != VIA)
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    url.query_pairs_mut().clear().extend_pairs(&rest);
    if rest.is_empty() {
        url.set_query(None);
    }
    if url.fragment() == Some("") {
        url.set_fragment(None);
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_page_has_many_addresses() {
        let film = "https://www.netflix.com/watch/100";
        for same in [
            film,
            "https://www.netflix.com/watch/100/",
            "https://WWW.Netflix.com/watch/100",
            "HTTPS://www.netflix.com:443/watch/100",
            "https://www.netflix.com/watch/100?trackId=14170286",
            "https://www.netflix.com/watch/100/?trackId=1&trackId=2#",
            "https://www.netflix.com/watch/./100?",
        ] {
            assert!(is_same_page(film, same) && is_same_page(same, film), "{same}");
        }
        for other in [
            "https://www.netflix.com/watch/101",
            "https://www.netflix.com/watch/100/trailer",
            "https://www.netflix.com/Watch/100",
            "https://www.netflix.com/watch/100?t=5",
            "https://www.netflix.com/watch/100#/details",
            "https://netflix.com/watch/100",
            "http://www.netflix.com/watch/100",
            "https://www.netflix.com:8443/watch/100",
            "https://www.netflix.com/",
        ] {
            assert!(!is_same_page(film, other) && !is_same_page(other, film), "{other}");
        }
        assert!(!is_same_page("https://x.org/?v=1&trackId=2", "https://x.org/?v=2&trackId=2"));
        assert!(is_same_page("https://x.org/?v=1&trackId=2", "https://x.org?v=1"));
    }
}
