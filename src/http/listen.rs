use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, lookup_host};

/// Length of the queue of connections that wait to be accepted; the kernel shortens it to `net.core.somaxconn`.
const BACKLOG: i32 = 4_096;

/// Listens on a host's port. `::` is every address of both families; where there is no IPv6 it is every address of IPv4.
pub async fn listen(host: &str, port: u16) -> io::Result<TcpListener> {
    let addresses: Vec<_> = lookup_host((bare(host), port)).await?.collect();
    let socket = first(&addresses, bind)?;
    TcpListener::from_std(socket.into())
}

/// Without the brackets that an IPv6 address has in a URL.
pub(crate) fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

/// Binds the first address that can be bound.
fn first<T>(addresses: &[SocketAddr], bind: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    let mut failed = io::Error::new(io::ErrorKind::InvalidInput, "the host has no address");
    for address in addresses {
        match bind(*address).or_else(|error| without_ipv6(*address, error, &bind)) {
            Ok(socket) => return Ok(socket),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Falls back from every address of both families to every address of IPv4, unless the failure has a reason that applies to both.
fn without_ipv6<T>(address: SocketAddr, error: io::Error, bind: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    let same = matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied);
    if same || !address.is_ipv6() || !address.ip().is_unspecified() {
        return Err(error);
    }
    let Ok(socket) = bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port())) else {
        return Err(error);
    };
    tracing::info!(%error, "IPv6 is not available; listening on IPv4 only");
    Ok(socket)
}

fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // Systems differ in the default of this option.
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn every_address_means_both_families() {
        let listener = listen("::", 0).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(listener.local_addr().unwrap().is_ipv6());
        for host in ["127.0.0.1", "::1"] {
            let (client, server) = tokio::join!(TcpStream::connect((host, port)), listener.accept());
            assert_eq!(client.unwrap().peer_addr().unwrap().ip().to_canonical(), host.parse::<IpAddr>().unwrap());
            server.unwrap();
        }
        assert!(listen("[::1]", 0).await.unwrap().local_addr().unwrap().ip().is_loopback());
        assert!(listen("0.0.0.0", 0).await.unwrap().local_addr().unwrap().is_ipv4());
    }

    #[test]
    fn where_there_is_no_ipv6_it_is_ipv4() {
        let refused = |kind: io::ErrorKind| {
            move |address: SocketAddr| if address.is_ipv6() { Err(kind.into()) } else { Ok(address) }
        };
        let everywhere: SocketAddr = "[::]:4001".parse().unwrap();
        let there = first(&[everywhere], refused(io::ErrorKind::Unsupported)).unwrap();
        assert_eq!(there, "0.0.0.0:4001".parse().unwrap());
        for kind in [io::ErrorKind::AddrInUse, io::ErrorKind::PermissionDenied] {
            assert_eq!(first(&[everywhere], refused(kind)).unwrap_err().kind(), kind);
        }
        // A specific address is not replaced by another one.
        let one: SocketAddr = "[2001:db8::1]:4001".parse().unwrap();
        first(&[one], refused(io::ErrorKind::AddrNotAvailable)).unwrap_err();
        // A name may have several addresses.
        let other: SocketAddr = "127.0.0.1:4001".parse().unwrap();
        assert_eq!(first(&[one, other], refused(io::ErrorKind::AddrNotAvailable)).unwrap(), other);
        first::<()>(&[], |_| Ok(())).unwrap_err();
    }
}
