use std::collections::BTreeMap;

use super::{
    ear::Ear,
    field::number,
    truth::{Truth, is_held},
    verdict::{Crime, Verdict},
};
use crate::record::{Entered, Event, Line};

/// Judges a story.
pub fn judge(events: &[Entered]) -> Vec<Verdict> {
    let truth = Truth::of(events);
    let mut court =
        Court { truth, verdicts: Vec::new(), ears: BTreeMap::new(), commits: 0, loss: None, orphaned: None };
    for (place, Entered { at, event }) in events.iter().enumerate() {
        if matches!(event, Event::Loss { .. }) && !is_held(events, place) {
            court.orphaned = Some(*at);
        }
        court.witness(*at, event);
    }
    court.acknowledged(events);
    court.signals(events);
    court.doors(events);
    if let Some(Entered { at, event: Event::End { rooms, replicas, clients, ledger } }) = events.last() {
        court.end(*at, rooms, replicas, clients, events);
        court.ledger(*at, ledger, events);
    }
    court.verdicts.sort_by_key(|verdict| verdict.at);
    court.verdicts
}

pub(super) struct Court<'a> {
    pub(super) truth: Truth<'a>,
    pub(super) verdicts: Vec<Verdict>,
    pub(super) ears: BTreeMap<Line, Ear>,
    /// How many commits there have been so far.
    pub(super) commits: usize,
    /// The latest loss: the time since which everything is lost, and the time of the loss. `None` once the room was put back.
    pub(super) loss: Option<(u64, u64)>,
    /// The latest loss of a room that no node had a copy of.
    pub(super) orphaned: Option<u64>,
}

impl Court<'_> {
    pub(super) fn find(&mut self, crime: Crime, at: u64, what: String) {
        self.verdicts.push(Verdict { crime, at, what });
    }

    pub(super) fn witness(&mut self, at: u64, event: &Event) {
        match event {
            Event::Open { line, user, modern, node } => {
                let ear = Ear {
                    user: user.clone(),
                    modern: *modern,
                    node: node.clone(),
                    at: None,
                    heard: Vec::new(),
                    session: None,
                    view: BTreeMap::new(),
                    host: None,
                    resume: None,
                    resumed: false,
                };
                self.ears.insert(*line, ear);
            }
            Event::Sent { line, frame } if frame["type"] == "RESUME" => {
                if let Some(ear) = self.ears.get_mut(line) {
                    let point = (number(frame, "epoch"), number(frame, "version"));
                    ear.resume = Some((number(frame, "id"), point));
                }
            }
            Event::Commit { .. } => self.commits += 1,
            Event::Loss { since } => self.loss = Some((*since, at)),
            Event::Restore { .. } => self.loss = None,
            Event::Panic { what } => self.find(Crime::Panic, at, what.clone()),
            Event::Got { line, frame } => self.told(at, *line, frame),
            _ => {}
        }
    }
}
