//! Makes a failing story smaller, as long as it fails in the same way.

use crate::{
    judge::{Crime, judge},
    plan::{Act, Plan},
    world::play,
};

/// What is wrong with a story.
pub fn crimes(plan: &Plan) -> Vec<Crime> {
    let mut crimes: Vec<_> = judge(&play(plan)).into_iter().map(|verdict| verdict.crime).collect();
    crimes.sort_unstable();
    crimes.dedup();
    crimes
}

/// Returns a smaller story that goes wrong in the same way.
pub fn shrink(plan: &Plan, crime: Crime) -> Plan {
    let fails = |plan: &Plan| crimes(plan).contains(&crime);
    let mut best = plan.clone();
    // Faults go first, because a reader has to understand them. Clients follow, and then all steps in ever smaller pieces.
    best = without_each(best, &fails, |act| matches!(act, Act::Fault(_)));
    for client in plan.present.clone() {
        let mut less = best.clone();
        less.present.retain(|present| *present != client);
        less.steps.retain(|step| step.act.client() != Some(client));
        if less.present.len() > 1 && fails(&less) {
            best = less;
        }
    }
    let mut piece = best.steps.len() / 2;
    while piece > 0 {
        let mut from = 0;
        while from < best.steps.len() {
            let mut less = best.clone();
            less.steps.drain(from..(from + piece).min(best.steps.len()));
            if fails(&less) {
                best = less;
            } else {
                from += piece;
            }
        }
        piece /= 2;
    }
    best
}

fn without_each(mut best: Plan, fails: &impl Fn(&Plan) -> bool, which: impl Fn(&Act) -> bool) -> Plan {
    let mut place = 0;
    while place < best.steps.len() {
        if which(&best.steps[place].act) {
            let mut less = best.clone();
            less.steps.remove(place);
            if fails(&less) {
                best = less;
                continue;
            }
        }
        place += 1;
    }
    best
}
