//! What a scenario has found: figures by name, curves over time, and whether what must hold does.

pub(crate) mod compare;
mod finish;
mod page;
mod plot;
mod rule;
mod take;

pub(crate) use rule::Rule;
pub(crate) use take::{Findings, Series};
