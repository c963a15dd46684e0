//! Open-loop load: clients in rooms that send by a schedule fixed in advance, and check what they receive.

mod balancer;
mod generator;
mod member;
mod message;
mod outcome;
mod pacer;
mod plan;
mod receiver;
mod returns;
mod roll_call;
mod run;
mod schedule;

pub(crate) use generator::{Generator, Round};
pub(crate) use message::Message;
pub(crate) use outcome::{CORRECT, Outcome, prefix};
pub(crate) use plan::{MAX_RATE, MEMBERS, Plan};
pub(crate) use returns::{RETURNED, Returns};
pub(crate) use run::LoadRun;
pub(crate) use schedule::Schedule;
