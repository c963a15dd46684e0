//! How much does a deployment take?

mod run;
mod search;

pub(crate) use run::{Options, run};

use search::Search;
