//! The servers under load: how they are started, measured and stopped.

mod deployment;
pub(crate) mod floor;
mod kind;
mod launcher;
mod options;
mod postgres;
mod process;
mod redis;
pub(crate) mod relay;
mod standby;

pub(crate) use deployment::Deployment;
pub(crate) use kind::Kind;
pub(crate) use launcher::Launcher;
pub(crate) use options::{DeploymentOptions, Ledger, PeerOptions, RedisKind, ServerOptions};
pub(crate) use postgres::Postgres;
pub(crate) use redis::Redis;
