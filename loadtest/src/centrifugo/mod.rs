//! Centrifugo: what its clients say, and nodes of it over a Redis of their own.

#[cfg(test)]
mod double;
mod nodes;
mod wire;

pub(crate) use nodes::Nodes;
pub(crate) use wire::{PING, PONG, enter, is_error, is_subscribed, joined, publish, replies, session, subscribe, url};
