use serde_json::Value;
use tandem::room::Change;

use super::{court::Court, ear::Ear, verdict::Crime};

impl Court<'_> {
    /// A seat ends when its window is over, when its member leaves or is kicked, or with the room. It may also be missing while a lost room
    /// is not put back yet, or if no node can put it back. And a client that has shown one token twice, and lost both answers, has none that
    /// is good: that is the price for tokens that wear out.
    pub(super) fn resume_refused(&mut self, at: u64, ear: &Ear, frame: &Value) {
        let mut seated = None;
        for commit in self.truth.commits.iter().take(self.commits) {
            for change in &commit.update.changes {
                match change {
                    Change::Joined { member, .. } | Change::Rejoined { member, .. } | Change::Back { member, .. }
                        if member.user == ear.user =>
                    {
                        let spent = member.token_before.is_none() && member.token_beside.is_some();
                        seated = Some((commit.at, spent));
                    }
                    Change::Left { user, .. } if *user == ear.user => seated = None,
                    Change::Closed => seated = None,
                    _ => {}
                }
            }
        }
        let is_lost = |seat: u64| self.loss.is_some_and(|(since, lost)| since <= seat && seat <= lost);
        if let Some((since, spent)) = seated
            && !(spent && frame["code"] == "unauthorized")
            && !is_lost(since)
            && self.orphaned.is_none_or(|lost| lost < since)
        {
            let what = format!("{} has had its seat since {since}, but is refused: {frame}", ear.user);
            self.find(Crime::KeptSeat, at, what);
        }
    }
}
