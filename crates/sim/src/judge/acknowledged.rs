use std::collections::{HashMap, HashSet};

use serde_json::Value;
use tandem::room::Change;

use super::{court::Court, field::number, truth::excused, verdict::Crime};
use crate::record::{Entered, Event};

impl Court<'_> {
    /// What was acknowledged happened once, and was kept.
    pub(super) fn acknowledged(&mut self, events: &[Entered]) {
        let mut done: HashMap<u64, Vec<usize>> = HashMap::new();
        for (place, commit) in self.truth.commits.iter().enumerate() {
            for change in &commit.update.changes {
                if let Change::Broadcast { data: Some(data), .. } = change
                    && let Ok(id) = data.0.get().parse()
                {
                    done.entry(id).or_default().push(place);
                }
            }
        }
        let mut found = Vec::new();
        for (id, places) in &done {
            if places.len() > 1 {
                let at = self.truth.commits[places[1]].at;
                found.push((Crime::Twice, at, format!("broadcast {id} was committed {} times", places.len())));
            }
        }
        let lasting = self.lasting(events);
        let sent: HashMap<u64, &Value> = events
            .iter()
            .filter_map(|entered| match &entered.event {
                Event::Sent { frame, .. } if frame["type"] == "BROADCAST" && frame["to"].is_null() => {
                    Some((number(frame, "id"), frame))
                }
                _ => None,
            })
            .collect();
        for Entered { at, event } in events {
            let Event::Got { frame, line } = event else { continue };
            if frame["type"] != "ACK" || !sent.contains_key(&number(frame, "id")) {
                continue;
            }
            let id = number(frame, "id");
            match done.get(&id) {
                None => found.push((
                    Crime::Forgotten,
                    *at,
                    format!("{line:?} got an ACK for broadcast {id}, which never was"),
                )),
                Some(places) => {
                    if let Some(lasting) = &lasting
                        && !places.iter().any(|place| lasting.contains(place))
                        && places.iter().all(|place| !excused(&self.truth.commits[*place], events))
                    {
                        let what = format!("{line:?} got an ACK for broadcast {id}, which was lost later");
                        found.push((Crime::Forgotten, *at, what));
                    }
                }
            }
        }
        found.into_iter().for_each(|(crime, at, what)| self.find(crime, at, what));
    }

    /// The commits that led to the room as it is at the end; none if there is no room.
    pub(super) fn lasting(&self, events: &[Entered]) -> Option<HashSet<usize>> {
        let Some(Event::End { rooms, .. }) = events.last().map(|entered| &entered.event) else { return None };
        let mut mark = rooms.first()?.lineage_hash;
        let by_mark: HashMap<u64, usize> =
            self.truth.commits.iter().enumerate().map(|(place, commit)| (commit.marks.1, place)).collect();
        let mut lasting = HashSet::new();
        while let Some(place) = by_mark.get(&mark) {
            if !lasting.insert(*place) {
                break;
            }
            mark = self.truth.commits[*place].marks.0;
        }
        Some(lasting)
    }
}
