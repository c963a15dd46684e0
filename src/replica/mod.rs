//! A room on a node, sans IO: the copy of the room that this node decides on, and the sessions of the members that are connected to it.
//!
//! Nothing in here waits, reads a clock, rolls dice, takes a lock, counts or logs. A driver (in production [`crate::hub`]) calls in, and
//! results come back as the next call:
//!
//! - A [`Turn`] does one [`Job`], alone in its room: [`Turn::begin`] and [`Turn::answer`] return a [`Step`], which is one [`Request`] to
//!   shared state or the end. The driver hands the [`Answer`] back. Between the two it holds no lock.
//! - What comes from elsewhere enters at any time, also between a request and its answer: [`Replica::update`], [`Replica::stale`],
//!   [`Replica::signal`], [`Replica::disconnect`].
//! - What members are sent, and what is counted, goes out as [`Effect`]s, in order, before the call returns.
//! - [`Replica::timeout`] says when the room wants a [`Job::Tick`].
//! - A turn that ends early, because its task panicked or was dropped, ends with [`Replica::abandon`].
//!
//! # Whether the replica is what shared state says
//!
//! | state | left when | for |
//! |---|---|---|
//! | Unloaded | a turn begins | Loading |
//! | Loading: updates wait | the room was read, and what waited follows | Live |
//! | | the room was read, but after the read began something may have been missed | Resync at once |
//! | | the room was read, but what waited does not follow, or a restore came too late | Loading, 8 times at most |
//! | | shared state does not answer | Resync in a second; Unloaded if nothing was loaded before |
//! | Live: updates are applied | an update does not follow, shared state says that some were lost, somebody was wrongly evicted | Resync at once |
//! | | a commit has no answer, a bug broke a turn off | Resync in a second |
//! | | nobody here needs the room | Retired |
//! | Resync: updates are applied if they follow | a turn begins: a command, or the tick at the time of the resync | Loading |
//! | Retired | never: whoever still wants the room opens it again | |
//!
//! A room that was read is compared with the replica (`standing.rs`): it is the same, ahead (the missing updates are taken from the history,
//! or everybody gets DISCONTINUITY and the whole room), behind (shared state has lost something: the replica is put back), or another one.
//!
//! # What a member's connection is in
//!
//! | state | left when | for |
//! |---|---|---|
//! | Joining: in [`Job::Enter`], no session yet | the update comes that lets it in: it gets ROOM_STATE of that very version | Live |
//! | | the same, but it resumes | Replaying |
//! | | it is refused | no session |
//! | Replaying: frames wait | it was told what it missed | Live |
//! | Live: it gets each frame at once | its connection is gone, it leaves, it is kicked, its user comes in elsewhere | no session |
//! | any of these two | others give its member up, though its connection lives | WronglyEvicted |
//! | WronglyEvicted: spared its own USER_LEFT | the next load gives it its seat back | what it was before |
//! | | its seat cannot be given back | no session, closed with 1012 |

mod commit;
mod effect;
mod follow;
mod load;
mod member;
mod refuse;
mod replay;
#[expect(clippy::module_inception, reason = "the noun of this module")]
mod replica;
mod session;
mod standing;
mod sync;
mod turn;

pub use effect::{Answer, Class, Effect, Env, Failure, Gap, History, Loss, Proposal, Request, Resumed, Source};
pub use member::Route;
pub use replica::{Out, Replica};
pub use session::PendingJoin;
pub use sync::Why;
pub use turn::{Job, Step, Turn};
