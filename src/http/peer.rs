use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;

/// The other end of a TCP connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

impl Peer {
    /// The client's address: the connection's own, or with `hops` proxies in front the one that the outermost of them has seen. What
    /// a client itself writes into X-Forwarded-For is further left, and not looked at.
    pub fn client(self, headers: &HeaderMap, hops: usize) -> IpAddr {
        let own = self.0.ip().to_canonical();
        if hops == 0 {
            return own;
        }
        let forwarded = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        let seen: Vec<&str> = forwarded.flat_map(|value| value.split(',')).map(str::trim).collect();
        let index = seen.len().checked_sub(hops);
        // Some proxies write the port, too.
        let address = |text: &str| text.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
        index.and_then(|index| address(seen.get(index)?).ok()).map_or(own, |address: IpAddr| address.to_canonical())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_hops_are_believed() {
        let peer = Peer("10.0.0.1:5".parse().unwrap());
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", "6.6.6.6, 1.2.3.4:5678".parse().unwrap());
        headers.append("x-forwarded-for", "10.0.0.2".parse().unwrap());
        let client = |hops| peer.client(&headers, hops).to_string();
        assert_eq!(client(0), "10.0.0.1");
        assert_eq!(client(1), "10.0.0.2");
        assert_eq!(client(2), "1.2.3.4");
        assert_eq!(client(9), "10.0.0.1");
    }
}
