//! What holds for rooms, however many nodes there are: with `TEST_NODES=2` these tests run on a cluster of two nodes over a Redis, and
//! their clients connect to one after the other. Nothing about them may differ.

mod control;
mod cures;
mod directed;
mod extension;
mod gate;
mod party;
mod pin;
mod protocol;
mod resume;
mod seats;
mod waiting;
