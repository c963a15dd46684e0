//! Real servers for tests: started on free ports, in directories of their own, and killed, paused and restarted by the tests.
//! Several test binaries include this; none of them uses all of it.
#![allow(dead_code, clippy::cast_possible_truncation)]

pub mod certificates;
pub mod faketime;
pub mod pgbouncer;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod redis;
