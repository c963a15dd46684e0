//! What the nodes of a cluster stand on: servers that are not ours, started here and ended with their values.

mod counters;
mod daemon;
mod postgres;
mod redis;
mod wiretap;

pub(crate) use counters::Counters;
pub(crate) use daemon::{Daemon, find, free_port, tethered};
pub(crate) use postgres::Postgres;
pub(crate) use redis::Redis;
pub(crate) use wiretap::{Overheard, Wiretap};
