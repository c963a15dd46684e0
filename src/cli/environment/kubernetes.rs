//! Recognizes the variables that Kubernetes (and formerly `docker --link`) sets in every container for each Service: a Service named
//! `redis` sets `REDIS_PORT=tcp://10.0.0.1:6379`, which is not a port.

/// The protocols that a Service can have.
const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];

/// Whether a value is the address of a Service.
pub(super) fn is_address(value: &str) -> bool {
    ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme))
}

/// Whether a name is one of a Service: `X_SERVICE_HOST`, `X_SERVICE_PORT`, `X_SERVICE_PORT_HTTP`, `X_PORT_80_TCP`, `X_PORT_80_TCP_ADDR`.
/// `X_PORT` is ambiguous, and is recognized by its value.
pub(super) fn is_of_a_service(name: &str) -> bool {
    let port_of = |at: usize| {
        let mut parts = name.get(at + "_PORT_".len()..).unwrap_or_default().split('_');
        let number =
            parts.next().is_some_and(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
        let protocol = parts.next().is_some_and(|part| PROTOCOLS.contains(&part));
        let detail = parts.next().is_none_or(|part| ["PROTO", "PORT", "ADDR"].contains(&part));
        number && protocol && detail && parts.next().is_none()
    };
    let begun = |suffix: &str| name.len() > suffix.len() && name.ends_with(suffix);
    begun("_SERVICE_HOST")
        || begun("_SERVICE_PORT")
        || name.find("_SERVICE_PORT_").is_some_and(|at| at > 0)
        || name.rfind("_PORT_").is_some_and(|at| at > 0 && port_of(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_services() {
        for name in [
            "TANDEM_SERVICE_HOST",
            "TANDEM_SERVICE_PORT",
            "TANDEM_SERVICE_PORT_HTTP",
            "TANDEM_SERVICE_PORT_WS_2",
            "TANDEM_PORT_4001_TCP",
            "TANDEM_PORT_4001_TCP_PROTO",
            "TANDEM_PORT_4001_TCP_PORT",
            "TANDEM_PORT_4001_TCP_ADDR",
            "TANDEM_PORT_3478_UDP_ADDR",
            "TANDEM_PORT_1_SCTP",
            "TANDEM_PORT_PORT_80_TCP",
        ] {
            assert!(is_of_a_service(name), "{name}");
        }
        for name in [
            "TANDEM_PORT",
            "TANDEM_PORT_X_TCP",
            "TANDEM_PORT_80",
            "TANDEM_PORT_80_TCP_NAME",
            "_SERVICE_HOST",
            "PORT_80_TCP",
        ] {
            assert!(!is_of_a_service(name), "{name}");
        }
        assert!(is_address("tcp://10.0.0.1:6379") && is_address("udp://[fd00::1]:53") && !is_address("6379"));
    }
}
