use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write as _,
};

use super::{Diary, Told, room};

/// A row of the ledger.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) room: String,
    pub(crate) kind: String,
    pub(crate) epoch: u64,
    pub(crate) version: u64,
    /// The text of a BROADCAST.
    pub(crate) event: String,
}

/// The contradictions between the diaries and the ledger. Empty if there are none.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Members got different frames for one version, or frames out of order or twice.
    pub(crate) disorder: Vec<String>,
    /// Versions that a member missed without being told so.
    pub(crate) silent_gaps: Vec<String>,
    /// Changes that members were told of and that are missing in the ledger.
    pub(crate) not_in_ledger: Vec<String>,
    /// Rows that the ledger has twice.
    pub(crate) doubled: Vec<String>,
    /// Rows that no member was told of, in rooms without a discontinuity.
    pub(crate) untold: Vec<String>,
    /// Members that did not get the last messages.
    pub(crate) unfinished: Vec<String>,
    /// The number of versions that members were told of, in all rooms.
    pub(crate) versions: usize,
    /// The number of received frames that are for all members.
    pub(crate) deliveries: usize,
}

impl Verdict {
    pub(crate) fn assert_good(&self) {
        let wrongs = [
            ("disorder", &self.disorder),
            ("silent gaps", &self.silent_gaps),
            ("not in the ledger", &self.not_in_ledger),
            ("doubled in the ledger", &self.doubled),
            ("in the ledger, but told to nobody", &self.untold),
            ("unfinished", &self.unfinished),
        ];
        let mut said = String::new();
        for (what, list) in wrongs {
            if !list.is_empty() {
                let some = list[..list.len().min(5)].join("\n  ");
                let _ = writeln!(said, "{what}: {}, such as\n  {some}", list.len());
            }
        }
        assert!(said.is_empty(), "{said}");
        assert!(self.versions > 0, "nothing happened");
    }
}

type Versions = BTreeMap<(u64, u64), Told>;

pub(crate) fn judge(diaries: &[Diary], ledger: &[Row]) -> Verdict {
    let mut verdict = Verdict::default();
    let mut rooms: BTreeMap<usize, Versions> = BTreeMap::new();
    let mut troubled: BTreeSet<usize> = BTreeSet::new();
    for diary in diaries {
        verdict.disorder.extend(diary.wrongs.iter().map(|wrong| format!("{}: {wrong}", diary.user)));
        if diary.segments.len() > 1 {
            troubled.insert(diary.room);
        }
        let known = rooms.entry(diary.room).or_default();
        for segment in &diary.segments {
            for (version, told) in &segment.told {
                verdict.deliveries += 1;
                let first = known.entry((segment.epoch, *version)).or_insert_with(|| told.clone());
                if first != told {
                    verdict.disorder.push(format!(
                        "{} and another: {:?} {told:?}",
                        diary.user,
                        (segment.epoch, version)
                    ));
                }
            }
        }
    }
    for diary in diaries {
        for segment in diary.segments.iter().filter(|segment| segment.to > segment.from) {
            let due = rooms[&diary.room].range((segment.epoch, segment.from + 1)..=(segment.epoch, segment.to));
            for ((epoch, version), told) in due.filter(|((_, version), _)| !segment.told.contains_key(version)) {
                verdict.silent_gaps.push(format!("{} lacks {epoch}/{version} {}", diary.user, told.kind));
            }
        }
        let missing: Vec<_> = diaries
            .iter()
            .filter(|other| other.room == diary.room && !diary.last_words.contains(&other.user))
            .collect();
        if !missing.is_empty() {
            let of = missing.iter().map(|other| other.user.as_str()).collect::<Vec<_>>();
            verdict.unfinished.push(format!("{} did not hear {of:?}; errors {:?}", diary.user, diary.errors));
        }
    }
    verdict.versions = rooms.values().map(BTreeMap::len).sum();
    audit(&mut verdict, diaries, &rooms, &troubled, ledger);
    verdict
}

fn audit(
    verdict: &mut Verdict,
    diaries: &[Diary],
    rooms: &BTreeMap<usize, Versions>,
    troubled: &BTreeSet<usize>,
    ledger: &[Row],
) {
    let mut rows: HashMap<(&str, u64, u64), &Row> = HashMap::new();
    let mut ids = BTreeSet::new();
    for row in ledger {
        if rows.insert((&row.room, row.epoch, row.version), row).is_some() || !ids.insert(&row.id) {
            verdict.doubled.push(format!("{row:?}"));
        }
    }
    for (number, versions) in rooms {
        let name = room(*number);
        for ((epoch, version), told) in versions {
            if !rows.contains_key(&(name.as_str(), *epoch, *version)) {
                verdict.not_in_ledger.push(format!("{name} {epoch}/{version} {}", told.kind));
            }
        }
    }
    for diary in diaries {
        let name = room(diary.room);
        for (epoch, version) in &diary.confirmed {
            // An acknowledgement may arrive after the room has a new epoch; then its version belongs to the old one.
            let any = rows.keys().any(|(of, at, is)| *of == name && is == version && at <= epoch);
            if !any {
                verdict.not_in_ledger.push(format!("{} was told that {name} {epoch}/{version} is done", diary.user));
            }
        }
    }
    // The last messages may arrive when the other members have left.
    for row in ledger.iter().filter(|row| row.kind == "BROADCAST" && row.event != "last") {
        let Some(number) = row.room.strip_prefix("room-").and_then(|number| number.parse().ok()) else { continue };
        let told = rooms.get(&number).is_some_and(|versions| versions.contains_key(&(row.epoch, row.version)));
        if !told && !troubled.contains(&number) {
            verdict.untold.push(format!("{row:?}"));
        }
    }
}
