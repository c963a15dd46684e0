//! People in rooms: each has habits, and writes down what becomes of them. The scenarios differ in the habits, and in what happens to
//! everybody.

mod bot;
mod ears;
mod habits;
mod kind;
mod options;
mod record;
mod run;
mod sampler;
mod sdp;
mod spell;
mod talk;

pub(crate) use kind::Kind;
pub(crate) use options::Options;
pub(crate) use record::Record;
pub(crate) use run::run;
pub(crate) use sampler::Sampler;
pub(crate) use sdp::signal;

use bot::{Bot, Order};
use habits::{Habits, Return};
use record::Tick;
