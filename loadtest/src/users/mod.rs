//! Simulated users: each behaves by timers, checks what it receives, and comes back when it loses its connection. The scenarios differ in
//! the behaviour, and in what happens to all users at once.

mod behaviour;
mod options;
mod record;
mod run;
mod sequence;
mod session;
mod timers;
mod user;

pub(crate) use behaviour::Scenario;
pub(crate) use options::Options;
pub(crate) use run::run;

use behaviour::Behaviour;
use record::Record;
use sequence::Sequence;
use user::{Command, User};
