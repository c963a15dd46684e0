//! What things cost as they grow: each point on servers of its own.

mod columns;
mod options;
mod plan;
mod run;

pub(crate) use columns::Load;
pub(crate) use options::Options;
pub(crate) use run::run;

use options::What;
use plan::{Act, Servers, Step};
