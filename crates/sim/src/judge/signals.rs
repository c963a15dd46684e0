use std::collections::HashMap;

use serde_json::Value;
use tandem::room::Change;

use super::{
    court::Court,
    field::{number, text},
    verdict::Crime,
};
use crate::record::{Entered, Event, Line};

impl Court<'_> {
    /// Signals from one socket to one target come once and in order, and those that were kept for a member that is away come with its RESUME.
    pub(super) fn signals(&mut self, events: &[Entered]) {
        let mut sent: HashMap<u64, (u64, Line, String, String)> = HashMap::new();
        let mut acked: HashMap<u64, (u64, u64)> = HashMap::new();
        let mut got: HashMap<u64, Vec<(u64, Line, String)>> = HashMap::new();
        let mut moves: HashMap<String, Vec<u64>> = HashMap::new();
        let mut users: HashMap<Line, String> = HashMap::new();
        let mut last: HashMap<(Line, Line), u64> = HashMap::new();
        let mut found = Vec::new();
        for Entered { at, event } in events {
            match event {
                Event::Open { line, user, .. } => {
                    users.insert(*line, user.to_string());
                    moves.entry(user.to_string()).or_default().push(*at);
                }
                Event::Shut { line, .. } => moves.entry(users[line].clone()).or_default().push(*at),
                Event::Sent { line, frame } if payload(frame).is_some() => {
                    sent.insert(number(frame, "id"), (*at, *line, users[line].clone(), text(frame, "to")));
                }
                Event::Got { line, frame } if frame["type"] == "ACK" => {
                    acked.insert(number(frame, "id"), (*at, number(frame, "version")));
                }
                Event::Got { line, frame } => {
                    let Some(id) = payload(frame) else { continue };
                    let before = got.entry(id).or_default();
                    let signal = text(frame, "signalId");
                    if before.iter().any(|(_, _, other)| *other != signal) {
                        found.push((Crime::Signals, *at, format!("signal {id} was made twice")));
                    }
                    let again = !before.is_empty();
                    before.push((*at, *line, signal));
                    if again {
                        continue;
                    }
                    let Some((sent_at, from, _, to)) = sent.get(&id) else {
                        found.push((Crime::Signals, *at, format!("signal {id} came, and was not sent before")));
                        continue;
                    };
                    let latest = last.entry((*line, *from)).or_default();
                    if id < *latest {
                        let moving = moves
                            .get(to)
                            .is_some_and(|moves| moves.iter().any(|moved| moved.abs_diff(*sent_at) < 6_000));
                        if !moving {
                            found.push((Crime::Signals, *at, format!("signal {id} came after {latest}")));
                        }
                    }
                    *latest = (*latest).max(id);
                }
                _ => {}
            }
        }
        for (id, (sent_at, _, from, to)) in &sent {
            let Some(acked) = acked.get(id) else { continue };
            if let Some((back, line)) = self.kept_for(to, *sent_at, *acked, events)
                // A member that was evicted wrongly has a socket, and gets it there.
                && !got.get(id).is_some_and(|got| got.iter().any(|(at, by, _)| *by == line || users[by] == *to && *at < back))
            {
                let what =
                    format!("signal {id} of {from} was kept for {to}, who came back at {back} and did not get it");
                found.push((Crime::Signals, back, what));
            }
        }
        found.into_iter().for_each(|(crime, at, what)| self.find(crime, at, what));
    }

    /// The socket with which `user` resumed, if it was away all the time between two moments, as far as the node knew that acknowledged with
    /// the version `known`.
    pub(super) fn kept_for(
        &self,
        user: &str,
        from: u64,
        (until, known): (u64, u64),
        events: &[Entered],
    ) -> Option<(u64, Line)> {
        let mut away = None;
        for commit in &self.truth.commits {
            for change in &commit.update.changes {
                match change {
                    Change::Away { user: gone, .. } if gone.as_str() == user && commit.at < from => {
                        // A node that was cut off and had not heard of it handed the signal to the old socket.
                        away = (commit.update.version() <= known).then_some(commit.at);
                    }
                    Change::Left { user: gone, .. } if gone.as_str() == user && commit.at < until => away = None,
                    Change::Joined { member, .. } | Change::Rejoined { member, .. } | Change::Back { member, .. }
                        if member.user.as_str() == user && commit.at <= until =>
                    {
                        away = None;
                    }
                    _ => {}
                }
            }
        }
        let since = away?;
        let mut users: HashMap<Line, bool> = HashMap::new();
        for Entered { at, event } in events {
            match event {
                Event::Loss { .. } if *at >= since => return None,
                Event::Open { line, user: opener, .. } => {
                    users.insert(*line, opener.as_str() == user);
                }
                Event::Got { line, frame } if *at > until && users.get(line) == Some(&true) => {
                    if frame["type"] == "RESUMED" {
                        // It may be gone again before it was told all.
                        let stays = !events.iter().any(|later| {
                            later.at < at + 3_000
                                && matches!(&later.event, Event::Shut { line: shut, .. } if shut == line)
                        });
                        return stays.then_some((*at, *line));
                    }
                    if frame["type"] == "ROOM_STATE" {
                        return None;
                    }
                }
                _ => {}
            }
        }
        None
    }
}

/// The number of a signal.
fn payload(frame: &Value) -> Option<u64> {
    ["offer", "answer", "candidate"].into_iter().find_map(|field| frame[field]["n"].as_u64())
}
