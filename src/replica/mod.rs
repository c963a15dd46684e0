//! A room on a node, sans-IO: the copy of the room that this node decides on, and the sessions of the members that are connected to it.
//!
//! Nothing in here waits, reads a clock, uses randomness, takes a lock, counts or logs. A driver (in production [`crate::hub`]) calls it,
//! and results come back as the next call:
//!
//! - A [`Turn`] runs one [`Job`], and is alone in its room: [`Turn::begin`] and [`Turn::answer`] return a [`Step`], which is one [`Request`] to
//!   shared state or the end. The driver passes the [`Answer`] back. Between the two it holds no lock.
//! - Events from elsewhere enter at any time, also between a request and its answer: [`Replica::update`], [`Replica::stale`],
//!   [`Replica::signal`], [`Replica::disconnect`].
//! - Frames for members and facts for metrics are returned as [`Effect`]s, in order, before the call returns.
//! - [`Replica::timeout`] says when the room needs a [`Job::Tick`].
//! - A turn that ends early, because its task panicked or was dropped, ends with [`Replica::abandon`].
//!
//! # The states of a replica
//!
//! | state | event | next state |
//! |---|---|---|
//! | Unloaded | a turn begins | Loading |
//! | Loading: updates are buffered | the room was read, and the buffered updates follow | Live |
//! | | the room was read, but updates may have been missed after the read began | Resync at once |
//! | | the room was read, but the buffered updates do not follow, or a restore came too late | Loading, at most 8 times |
//! | | shared state does not answer | Resync in a second; Unloaded if nothing was loaded before |
//! | Live: updates are applied | an update does not follow, shared state reports lost updates, or a member was wrongly evicted | Resync at once |
//! | | a commit has no answer, or a turn panicked | Resync in a second |
//! | | the room is not needed on this node | Retired |
//! | Resync: updates are applied if they follow | a turn begins: a command, or the tick at the time of the resync | Loading |
//! | Retired | none; the room has to be opened again | |
//!
//! A room that was read is compared with the replica (`comparison.rs`). It is the same; ahead (the missing updates are read from the history,
//! or all members get DISCONTINUITY and ROOM_STATE); behind (shared state has lost updates, and the replica restores it); or a different
//! room.
//!
//! # The states of a member's connection
//!
//! | state | event | next state |
//! |---|---|---|
//! | Joining: in [`Job::Enter`], no session yet | the update that admits it is applied: it gets ROOM_STATE of that very version | Live |
//! | | the same, but it resumes | Replaying |
//! | | it is refused | no session |
//! | Replaying: frames are buffered | it has got what it missed | Live |
//! | Live: frames are sent at once | it ends, or its member leaves or is kicked | no session |
//! | | the user joins or resumes on another connection | Displaced |
//! | Displaced: it gets no frames | the other connection ends, and this one answers a ping | reattached, with a new ROOM_STATE |
//! | | the member leaves or is kicked | no session |
//! | Replaying or Live | another node releases the seat although the connection lives | WronglyEvicted |
//! | WronglyEvicted: it does not get its own USER_LEFT | the next load reattaches it | the state before |
//! | | it cannot be reattached | no session, closed with 1012 |

mod commit;
mod comparison;
mod displaced;
mod effect;
mod follow;
mod load;
mod member;
mod refuse;
mod replay;
#[expect(clippy::module_inception, reason = "the noun of this module")]
mod replica;
mod session;

mod sync;
mod turn;

pub use effect::{Answer, Class, Effect, Env, Failure, Gap, History, Loss, Proposal, Request, Resumed, Source};
pub use member::Route;
pub use replica::{Out, Replica};
pub use session::PendingJoin;
pub use sync::Why;
pub use turn::{Job, Step, Turn};
