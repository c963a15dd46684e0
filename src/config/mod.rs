//! Settings: one file a section, each field documented where it is defined. Every setting is a flag and an environment
//! variable; `tandem config` prints the effective ones, `.env.example` lists them all.

mod caps;
mod ice;
mod ice_servers;
mod ice_url;
mod ledger;
mod log;
mod network;
mod origin;
mod parse;
mod postgres;
mod print;
mod redis;
mod resource;
mod room;
mod server;
mod socket;
mod tls;
mod token;
mod worker;

use clap::Args;

use crate::room::Policy;

pub use caps::{BadCap, Caps};
pub use ice::IceConfig;
pub use ice_servers::IceServers;
pub use ledger::LedgerConfig;
pub use log::{LogAddresses, LogConfig, LogFormat, LogLevel};
pub use network::Network;
pub use origin::OriginPattern;
pub use postgres::{PostgresConfig, PostgresTls};
pub use print::{MASK, example, table, variables};
pub use redis::{RedisConfig, RedisMode};
pub use resource::Resource;
pub use room::RoomConfig;
pub use server::{ServerConfig, StatusDetail};
pub use socket::SocketConfig;
pub use tls::TlsConfig;
pub use token::{AuthMode, TokenConfig};
pub use worker::WorkerConfig;

/// Everything that a node can be told.
#[derive(Debug, Clone, Args)]
#[allow(missing_docs, reason = "each section has its own")]
pub struct Config {
    #[command(flatten)]
    pub server: ServerConfig,
    #[command(flatten)]
    pub tls: TlsConfig,
    #[command(flatten)]
    pub token: TokenConfig,
    #[command(flatten)]
    pub socket: SocketConfig,
    #[command(flatten)]
    pub room: RoomConfig,
    #[command(flatten)]
    pub ledger: LedgerConfig,
    #[command(flatten)]
    pub redis: RedisConfig,
    #[command(flatten)]
    pub postgres: PostgresConfig,
    #[command(flatten)]
    pub worker: WorkerConfig,
    #[command(flatten)]
    pub ice: IceConfig,
    #[command(flatten)]
    pub log: LogConfig,
}

impl Config {
    /// The rules of rooms.
    pub fn policy(&self) -> Policy {
        let public_host = self.server.public_url.as_ref().and_then(url::Url::host_str);
        self.room.policy(public_host)
    }
}
