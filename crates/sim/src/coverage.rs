//! Counts which frames clients sent while which fault lasted.

use std::{collections::BTreeMap, fmt};

use tandem::protocol::ClientFrameType;

use crate::{
    plan::Fault,
    record::{Entered, Event},
};

/// No story sends this: the nodes of a story ask for no tokens, so each would be refused alike. Tests of nodes and clusters do.
const UNDRAWN: [ClientFrameType; 1] = [ClientFrameType::RefreshToken];

/// How often each frame type was sent during each fault.
#[derive(Debug, Default)]
pub struct Coverage {
    met: BTreeMap<(&'static str, String), u64>,
}

impl Coverage {
    pub fn add(&mut self, events: &[Entered]) {
        let mut lasting: Vec<(&'static str, u64)> = Vec::new();
        for Entered { at, event } in events {
            match event {
                Event::Fault { what, during } => lasting.push((what, at + during)),
                Event::Sent { frame, .. } => {
                    let kind = frame["type"].as_str().unwrap_or_default();
                    for (fault, _) in lasting.iter().filter(|(_, until)| at <= until) {
                        *self.met.entry((fault, kind.to_owned())).or_default() += 1;
                    }
                }
                _ => {}
            }
        }
    }

    fn times(&self, fault: &'static str, kind: ClientFrameType) -> u64 {
        self.met.get(&(fault, kind.as_str().to_owned())).copied().unwrap_or_default()
    }

    /// The pairs of a fault and a frame type that clients can send, but sent in no story during that fault.
    pub fn unmet(&self) -> Vec<(&'static str, &'static str)> {
        let pairs =
            Fault::NAMES.into_iter().flat_map(|fault| ClientFrameType::ALL.iter().map(move |kind| (fault, *kind)));
        pairs
            .filter(|(fault, kind)| !UNDRAWN.contains(kind) && self.times(fault, *kind) == 0)
            .map(|(fault, kind)| (fault, kind.as_str()))
            .collect()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:22}", "")?;
        for fault in Fault::NAMES {
            write!(f, "{fault:>10}")?;
        }
        for kind in ClientFrameType::ALL {
            write!(f, "\n{:22}", kind.as_str())?;
            for fault in Fault::NAMES {
                write!(f, "{:>10}", self.times(fault, *kind))?;
            }
        }
        Ok(())
    }
}
