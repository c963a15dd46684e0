//! Rooms on any number of nodes. With `TEST_NODES=2` these tests run on a cluster of two nodes over Redis, and clients connect to the nodes
//! in turn. With `TEST_AUTH_MODE=mixed` the clients, who have no tokens, are guests. The results must be the same.

mod control;
mod directed;
mod extension;
mod gate;
mod legacy_fixes;
mod moderation;
mod party;
mod pin;
mod protocol;
mod resume;
mod seats;
mod stalled;
mod waiting;
