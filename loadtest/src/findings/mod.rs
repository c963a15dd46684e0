//! What a scenario has found: figures by name, curves over time, and whether what must hold does.

pub(crate) mod compare;
mod finish;
mod growth;
mod output;
mod page;
mod plot;
mod rule;
mod take;

pub(crate) use growth::{Column, Growth, Point};
pub(crate) use output::Output;
pub(crate) use rule::Rule;
pub(crate) use take::{Findings, Series};

/// Between the name of a figure and the point of a growth that it belongs to.
const AT: char = '@';
