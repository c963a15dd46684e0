use std::num::NonZero;

use crate::{
    clock::Millis,
    id::ConnId,
    room::{Digest, Member, Presence, Shown},
};

/// A socket that lives this many seconds after a token was shown on it has received the answer: until then it has answered pings, which came after
/// the answer, or was closed.
const ANSWER_ARRIVES: u64 = 120;

/// What a seat keeps of its tokens once one of them was shown, beside the one that is issued then.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The token that was shown, while it is good once more.
    pub before: Option<Digest>,
    /// When it was shown, in seconds.
    pub shown_at: Option<NonZero<u32>>,
    /// The token that was issued when the same one was shown before.
    pub beside: Option<Box<Digest>>,
}

/// The tokens that a seat keeps when `shown` comes on the socket `conn`; `None` if that is none of its tokens.
///
/// Each token is good once, and the one before once more, because the answer with the new one may be lost.
pub(super) fn show(seated: &Member, conn: ConnId, shown: Option<Shown>, now: Millis) -> Option<Kept> {
    let shown = shown?;
    let fits = |kept: &Digest| shown.fits(*kept);
    let shown_at = u32::try_from(now / 1_000).ok().and_then(NonZero::new);
    // Whoever shows one of the two newest has received it, so all others are spent.
    if let Some(fresh) = seated.token.filter(fits).or_else(|| seated.token_beside.as_deref().copied().filter(fits)) {
        return Some(Kept { before: Some(fresh), shown_at, beside: None });
    }
    let again = seated.token_before.filter(fits)?;
    if seated.conn == conn {
        // The same RESUME is decided again, since nobody knew whether it had been committed.
        return Some(Kept { before: Some(again), shown_at: seated.shown_at, beside: seated.token_beside.clone() });
    }
    // The newest token may have been received on a socket that the client has kept, while this RESUME came late.
    may_be_lost(seated, now).then(|| Kept { before: None, shown_at: None, beside: seated.token.map(Box::new) })
}

/// Whether the answer with the newest token may never have arrived.
fn may_be_lost(seated: &Member, now: Millis) -> bool {
    let ended = match seated.presence {
        Presence::Present => now,
        Presence::Away { since, until: _ } => since.get(),
    };
    seated.shown_at.is_none_or(|at| (ended / 1_000).saturating_sub(at.get().into()) <= ANSWER_ARRIVES)
}
