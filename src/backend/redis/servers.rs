//! The servers that the settings name.

use redis::{
    ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion, TlsCertificates,
    sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType},
};

use super::connector::ConnectorError;
use crate::config::{RedisConfig, RedisMode};

pub(super) fn no_server() -> ConnectorError {
    ConnectorError::Url((redis::ErrorKind::InvalidClientConfig, "names no server").into())
}

pub(super) fn is_tls(info: &ConnectionInfo) -> bool {
    matches!(info.addr(), ConnectionAddr::TcpTls { .. })
}

pub(super) fn certificates(ca: Vec<u8>) -> TlsCertificates {
    TlsCertificates { client_tls: None::<ClientTlsConfig>, root_cert: Some(ca) }
}

/// The servers that the settings name, with user, password and database.
pub(super) fn seeds(config: &RedisConfig) -> Result<Vec<ConnectionInfo>, ConnectorError> {
    let mut urls: Vec<String> = config.redis_url.iter().map(|url| url.trim().to_owned()).collect();
    urls.retain(|url| !url.is_empty());
    if let (true, Some(host)) = (urls.is_empty(), &config.redis_host) {
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        urls.push(format!("redis://{host}:{}", config.redis_port));
    }
    urls.into_iter()
        .map(|url| {
            let info = url.into_connection_info().map_err(ConnectorError::Url)?;
            let mut settings =
                info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3).set_skip_set_lib_name();
            if let (None, Some(password)) = (settings.password(), &config.redis_password) {
                settings = settings.set_password(password);
            }
            if let (None, Some(username)) = (settings.username(), &config.redis_username) {
                settings = settings.set_username(username);
            }
            if settings.db() == 0 {
                settings = settings.set_db(config.redis_db.into());
            }
            Ok(info.set_redis_settings(settings))
        })
        .collect()
}

/// The database that the settings name.
pub(super) fn database(config: &RedisConfig, seeds: &[ConnectionInfo]) -> Result<i64, ConnectorError> {
    let first = seeds.first().map_or(0, |seed| seed.redis_settings().db());
    let others = seeds.iter().map(|seed| seed.redis_settings().db()).chain([config.redis_db.into()]);
    if let Some(other) = others.into_iter().find(|other| *other != first && (*other != 0 || first == 0)) {
        return Err(ConnectorError::Databases(first, other));
    }
    if first != 0 && config.redis_mode == RedisMode::Cluster {
        return Err(ConnectorError::NoDatabase(first));
    }
    Ok(first)
}

pub(super) fn sentinel(
    config: &RedisConfig,
    seeds: &[ConnectionInfo],
    ca: Option<Vec<u8>>,
) -> Result<SentinelClient, ConnectorError> {
    let Some(first) = seeds.first() else { return Err(no_server()) };
    let (tls, settings) = (is_tls(first), first.redis_settings().clone());
    let addresses = seeds.iter().map(|seed| seed.addr().clone());
    let mut builder = SentinelClientBuilder::new(addresses, &config.redis_master, SentinelServerType::Master)
        .map_err(ConnectorError::Url)?
        .set_client_to_redis_protocol(ProtocolVersion::RESP3)
        .set_client_to_sentinel_protocol(ProtocolVersion::RESP3)
        .set_client_to_redis_db(settings.db());
    if let Some(username) = &config.redis_sentinel_username {
        builder = builder.set_client_to_sentinel_username(username);
    }
    if let Some(password) = &config.redis_sentinel_password {
        builder = builder.set_client_to_sentinel_password(password);
    }
    if let Some(username) = settings.username() {
        builder = builder.set_client_to_redis_username(username);
    }
    if let Some(password) = settings.password() {
        builder = builder.set_client_to_redis_password(password);
    }
    if tls {
        builder = builder.set_client_to_redis_tls_mode(redis::TlsMode::Secure);
        if let Some(ca) = ca {
            builder = builder
                .set_client_to_redis_certificates(certificates(ca.clone()))
                .set_client_to_sentinel_certificates(certificates(ca));
        }
    }
    builder.build().map_err(ConnectorError::Url)
}
