//! Says what was wrong with a story. Knows all that the store took in and all that clients were told.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;
use tandem::{
    id::{NodeId, UserId},
    protocol::{Audience, Stamp, announce, encode},
    room::{Change, Room, Update},
};

use crate::record::{Entered, Event, Line, Standing};

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Crime {
    /// Frames of a room came in another order than that of their versions.
    Order,
    /// A member was not told of something.
    Lost,
    /// A member was told something twice, or what never happened.
    Invented,
    /// Something was acknowledged and did not happen, or did not last.
    Forgotten,
    /// Something happened twice.
    Twice,
    /// Somebody is shown who is not there.
    Ghost,
    /// There are two hosts, or none though somebody is there.
    Hosts,
    /// A client believes that it is in a room and is not, or cannot come back in.
    Seat,
    /// A seat that was kept for a client was not there when it came back.
    KeptSeat,
    /// Copies of a room differ when all is quiet.
    Replicas,
    /// The ledger lacks an event, or has one that never was.
    Ledger,
    /// The program panicked.
    Panic,
    /// The same seed gave another story.
    Unsteady,
    /// Signals came in another order, twice, or not at all though they were kept.
    Signals,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub crime: Crime,
    pub at: u64,
    pub what: String,
}

/// A frame that members are told, and whom.
struct Told {
    to: To,
    kind: String,
    frame: Value,
}

enum To {
    All,
    AllBut(UserId),
}

impl Told {
    fn is_for(&self, user: &UserId) -> bool {
        match &self.to {
            To::All => true,
            To::AllBut(other) => other != user,
        }
    }

    /// Whether a member may do without it: a heartbeat that a newer one replaced, and what is said of somebody to itself.
    fn is_optional(&self, user: &UserId) -> bool {
        match self.kind.as_str() {
            "HOST_HEARTBEAT" => true,
            "USER_LEFT" | "MEMBER_AWAY" | "MEMBER_BACK" => self.frame["userId"] == user.as_str(),
            _ => false,
        }
    }
}

/// One way in which a version came about. After a loss there may be several.
struct Step {
    told: Vec<Told>,
}

struct Committed<'a> {
    at: u64,
    update: &'a Update,
    marks: (u64, u64),
}

struct Truth<'a> {
    steps: HashMap<(u64, u64), Vec<Step>>,
    commits: Vec<Committed<'a>>,
}

impl<'a> Truth<'a> {
    fn of(events: &'a [Entered]) -> Self {
        let (mut steps, mut commits) = (HashMap::<_, Vec<Step>>::new(), Vec::new());
        for Entered { at, event } in events {
            let Event::Commit { update, marks, .. } = event else { continue };
            for (version, change) in (update.base + 1..).zip(&update.changes) {
                let mut told = Vec::new();
                announce(change, Stamp { epoch: update.epoch, version, timestamp: update.at }, |audience, frame| {
                    let frame: Value = serde_json::from_str(encode(&frame).as_str()).unwrap_or_default();
                    if frame["version"].is_u64() {
                        let kind = frame["type"].as_str().unwrap_or_default().to_owned();
                        told.push(Told { to: to(audience), kind, frame });
                    }
                });
                steps.entry((update.epoch, version)).or_default().push(Step { told });
            }
            commits.push(Committed { at: *at, update, marks: *marks });
        }
        Self { steps, commits }
    }

    /// Whether a member need not have been told anything of a version.
    fn is_silent(&self, point: (u64, u64), user: &UserId) -> Option<bool> {
        let steps = self.steps.get(&point)?;
        let silent = |step: &Step| step.told.iter().all(|told| !told.is_for(user) || told.is_optional(user));
        Some(steps.iter().any(silent))
    }
}

fn to(audience: Audience<'_>) -> To {
    match audience {
        Audience::All => To::All,
        Audience::AllBut(user) => To::AllBut(user.clone()),
    }
}

/// What a client has been told on one socket.
struct Ear {
    user: UserId,
    modern: bool,
    node: NodeId,
    /// Up to where it has been told, and which frames of that version.
    at: Option<(u64, u64)>,
    heard: Vec<Value>,
    session: Option<String>,
    /// Who is there, and whether it is present.
    view: BTreeMap<String, bool>,
    host: Option<String>,
    resume: Option<(u64, (u64, u64))>,
    resumed: bool,
}

pub fn judge(events: &[Entered]) -> Vec<Verdict> {
    let truth = Truth::of(events);
    let mut court = Court { truth, verdicts: Vec::new(), ears: BTreeMap::new() };
    for Entered { at, event } in events {
        court.witness(*at, event);
    }
    court.acknowledged(events);
    court.signals(events);
    if let Some(Entered { at, event: Event::End { rooms, replicas, clients, ledger } }) = events.last() {
        court.end(*at, rooms, replicas, clients, events);
        court.ledger(*at, ledger, events);
    }
    court.verdicts.sort_by_key(|verdict| verdict.at);
    court.verdicts
}

struct Court<'a> {
    truth: Truth<'a>,
    verdicts: Vec<Verdict>,
    ears: BTreeMap<Line, Ear>,
}

impl Court<'_> {
    fn find(&mut self, crime: Crime, at: u64, what: String) {
        self.verdicts.push(Verdict { crime, at, what });
    }

    fn witness(&mut self, at: u64, event: &Event) {
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
            Event::Got { line, frame } => self.told(at, *line, frame),
            _ => {}
        }
    }

    fn told(&mut self, at: u64, line: Line, frame: &Value) {
        let Some(mut ear) = self.ears.remove(&line) else { return };
        let kind = frame["type"].as_str().unwrap_or_default();
        match kind {
            "ROOM_STATE" => {
                ear.at = Some((number(frame, "epoch"), number(frame, "version")));
                ear.heard.clear();
                ear.session = frame["session"].as_str().map(str::to_owned);
                let users = frame["users"].as_array().map(Vec::as_slice).unwrap_or_default();
                ear.view = users.iter().map(|user| (text(user, "userId"), user["state"] == "present")).collect();
                ear.host = frame["hostUserId"].as_str().map(str::to_owned);
                let hosts = users.iter().filter(|user| user["role"] == "host").count();
                if hosts > 1 {
                    self.find(Crime::Hosts, at, format!("{} was shown {hosts} hosts", ear.user));
                }
            }
            "RESUMED" => {
                ear.at = ear.resume.map(|(_, point)| point);
                ear.session = frame["session"].as_str().map(str::to_owned);
                ear.resumed = true;
                // What it knew of the room it knew on another socket.
                let before =
                    self.ears.range(..line).rev().find(|((client, _), old)| *client == line.0 && old.at.is_some());
                if let Some((_, old)) = before {
                    ear.view.clone_from(&old.view);
                    ear.host.clone_from(&old.host);
                    if ear.at == old.at {
                        ear.heard.clone_from(&old.heard);
                    }
                }
                ear.view.insert(ear.user.to_string(), true);
            }
            "ERROR" => {
                if let Some((id, _)) = ear.resume
                    && frame["id"].as_u64() == Some(id)
                    && matches!(frame["code"].as_str(), Some("not_joined" | "unauthorized"))
                {
                    self.resume_refused(at, &ear, frame);
                }
            }
            "ACK" | "PONG" | "SYNC_RESPONSE" | "DISCONTINUITY" => {}
            _ if frame["version"].is_u64() => self.room_frame(at, line, &mut ear, kind, frame),
            _ => {}
        }
        self.ears.insert(line, ear);
    }

    fn room_frame(&mut self, at: u64, line: Line, ear: &mut Ear, kind: &str, frame: &Value) {
        let who = format!("{} on socket {line:?} at {}", ear.user, ear.node);
        let point = (number(frame, "epoch"), number(frame, "version"));
        let Some(before) = ear.at else {
            return self.find(Crime::Order, at, format!("{who} got {kind} {point:?} before it was in"));
        };
        // A host of the first generation is reminded of that.
        if kind == "HOST_CHANGED" && !ear.modern && frame["hostUserId"] == ear.user.as_str() && point <= before {
            return;
        }
        if point.0 != before.0 {
            return self.find(Crime::Order, at, format!("{who} got {kind} of epoch {} in epoch {}", point.0, before.0));
        }
        if point.1 < before.1 {
            return self.find(Crime::Order, at, format!("{who} got {kind} of version {} after {}", point.1, before.1));
        }
        if point.1 > before.1 {
            self.silent(at, &who, ear, point.1);
            ear.heard.clear();
        }
        ear.at = Some(point);
        let steps = self.truth.steps.get(&point).map(Vec::as_slice).unwrap_or_default();
        let known =
            steps.iter().any(|step| step.told.iter().any(|told| told.is_for(&ear.user) && told.frame == *frame));
        let reminder = kind == "HOST_CHANGED" && !ear.modern && frame["hostUserId"] == ear.user.as_str();
        if ear.heard.contains(frame) {
            self.find(Crime::Invented, at, format!("{who} got {kind} {point:?} twice"));
        } else if !known && !reminder {
            self.find(Crime::Invented, at, format!("{who} got a {kind} {point:?} that never was: {frame}"));
        }
        ear.heard.push(frame.clone());
        let user = text(frame, "userId");
        match kind {
            "USER_JOINED" | "MEMBER_BACK" => drop(ear.view.insert(user, true)),
            "MEMBER_AWAY" => drop(ear.view.insert(user, false)),
            "USER_LEFT" => drop(ear.view.remove(&user)),
            "HOST_CHANGED" => ear.host = frame["hostUserId"].as_str().map(str::to_owned),
            _ => {}
        }
        if kind == "USER_LEFT"
            && ear.host.as_deref() == Some(text(frame, "userId").as_str())
            && frame["reason"] != "disconnected"
        {
            ear.host = None;
        }
    }

    /// Nothing that the member ought to have been told lies between what it heard last and this version of its epoch.
    fn silent(&mut self, at: u64, who: &str, ear: &Ear, until: u64) {
        let Some((epoch, last)) = ear.at else { return };
        // Of the last version it may have got a part.
        let rest = self.truth.steps.get(&(epoch, last)).is_some_and(|steps| {
            !ear.heard.is_empty()
                && steps.iter().all(|step| {
                    step.told.iter().any(|told| {
                        told.is_for(&ear.user) && !told.is_optional(&ear.user) && !ear.heard.contains(&told.frame)
                    })
                })
        });
        if rest && !ear.resumed {
            self.find(Crime::Lost, at, format!("{who} got a part of version {last} only"));
        }
        for version in last + 1..until {
            match self.truth.is_silent((epoch, version), &ear.user) {
                Some(true) => {}
                Some(false) => {
                    let kinds: Vec<_> = self.truth.steps[&(epoch, version)]
                        .iter()
                        .flat_map(|step| step.told.iter().map(|told| told.kind.clone()))
                        .collect();
                    self.find(
                        Crime::Lost,
                        at,
                        format!("{who} was not told of version {version} ({kinds:?}), but of {until}"),
                    );
                }
                None => self.find(Crime::Invented, at, format!("{who} was told of {until}, but {version} never was")),
            }
        }
    }

    /// A seat goes when its window is over, when its member leaves or is thrown out, or with the room.
    fn resume_refused(&mut self, at: u64, ear: &Ear, frame: &Value) {
        let mut seated = None;
        for commit in self.truth.commits.iter().filter(|commit| commit.at <= at) {
            for change in &commit.update.changes {
                match change {
                    Change::Joined { member, .. } | Change::Rejoined { member, .. } | Change::Back { member, .. }
                        if member.user == ear.user =>
                    {
                        seated = Some(commit.at);
                    }
                    Change::Left { user, .. } if *user == ear.user => seated = None,
                    Change::Closed => seated = None,
                    _ => {}
                }
            }
        }
        if let Some(since) = seated {
            let what = format!("{} has had its seat since {since}, but is refused: {frame}", ear.user);
            self.find(Crime::KeptSeat, at, what);
        }
    }

    /// What was acknowledged happened, once, and lasted.
    fn acknowledged(&mut self, events: &[Entered]) {
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

    /// Each event is in the ledger.
    fn ledger(&mut self, at: u64, ledger: &[String], events: &[Entered]) {
        let mut rest: HashSet<&str> = ledger.iter().map(String::as_str).collect();
        let mut found = Vec::new();
        let mut commits = self.truth.commits.iter();
        for Entered { event, .. } in events {
            let Event::Commit { entry, .. } = event else { continue };
            let Some(commit) = commits.next() else { break };
            for event in entry.iter().flat_map(|entry| &entry.events) {
                let id = event.id.to_string();
                if !rest.remove(id.as_str()) && !excused(commit, events) {
                    found.push(format!("{:?} of version {} is missing", event.kind, commit.update.version()));
                }
            }
        }
        if !rest.is_empty() {
            found.push(format!("{} events never were", rest.len()));
        }
        found.into_iter().for_each(|what| self.find(Crime::Ledger, at, what));
    }

    /// The commits that led to the room as it is at the end; nothing if there is no room.
    fn lasting(&self, events: &[Entered]) -> Option<HashSet<usize>> {
        let Some(Event::End { rooms, .. }) = events.last().map(|entered| &entered.event) else { return None };
        let mut mark = rooms.first()?.mark;
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

    /// Signals of one sender to one target come in order and once, and those kept for a member that is away come with its RESUME.
    fn signals(&mut self, events: &[Entered]) {
        let mut sent: HashMap<u64, (u64, String, String)> = HashMap::new();
        let mut acked: HashMap<u64, u64> = HashMap::new();
        let mut got: HashMap<u64, Vec<(u64, Line, String)>> = HashMap::new();
        let mut moves: HashMap<String, Vec<u64>> = HashMap::new();
        let mut users: HashMap<Line, String> = HashMap::new();
        let mut last: HashMap<(Line, String), u64> = HashMap::new();
        let mut found = Vec::new();
        for Entered { at, event } in events {
            match event {
                Event::Open { line, user, .. } => {
                    users.insert(*line, user.to_string());
                    moves.entry(user.to_string()).or_default().push(*at);
                }
                Event::Shut { line, .. } => moves.entry(users[line].clone()).or_default().push(*at),
                Event::Sent { line, frame } if payload(frame).is_some() => {
                    sent.insert(number(frame, "id"), (*at, users[line].clone(), text(frame, "to")));
                }
                Event::Got { line, frame } if frame["type"] == "ACK" => {
                    acked.insert(number(frame, "id"), *at);
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
                    let from = text(frame, "from");
                    let latest = last.entry((*line, from)).or_default();
                    if id < *latest {
                        let (sent_at, _, to) = &sent[&id];
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
        for (id, (sent_at, from, to)) in &sent {
            let Some(acked_at) = acked.get(id) else { continue };
            if let Some((back, line)) = self.kept_for(to, *sent_at, *acked_at, events)
                && !got.get(id).is_some_and(|got| got.iter().any(|(_, at, _)| *at == line))
            {
                let what =
                    format!("signal {id} of {from} was kept for {to}, who came back at {back} and did not get it");
                found.push((Crime::Signals, back, what));
            }
        }
        found.into_iter().for_each(|(crime, at, what)| self.find(crime, at, what));
    }

    /// The socket with which `user` resumed the seat that it was away from all the time between two moments.
    fn kept_for(&self, user: &str, from: u64, until: u64, events: &[Entered]) -> Option<(u64, Line)> {
        let mut away = None;
        for commit in &self.truth.commits {
            for change in &commit.update.changes {
                match change {
                    Change::Away { user: gone, .. } if gone.as_str() == user && commit.at < from => {
                        away = Some(commit.at)
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

    fn end(
        &mut self,
        at: u64,
        rooms: &[Room],
        replicas: &[(NodeId, Room, usize)],
        clients: &[Option<Standing>],
        events: &[Entered],
    ) {
        for (node, replica, _) in replicas {
            let stored = rooms.iter().find(|room| room.id == replica.id);
            match stored {
                Some(room) if room == replica => {}
                Some(room) => {
                    let what = format!(
                        "{node} has version {} of epoch {}, the store {} of {}",
                        replica.version, replica.epoch, room.version, room.epoch
                    );
                    self.find(Crime::Replicas, at, what);
                }
                None if replica.exists() => {
                    self.find(Crime::Replicas, at, format!("{node} has a room that is not there"));
                }
                None => {}
            }
        }
        let mut sessions = HashMap::new();
        for standing in clients.iter().flatten() {
            let Some(ear) = self.ears.remove(&standing.line) else { continue };
            let who = format!("{} on socket {:?} at {}", ear.user, standing.line, ear.node);
            let session = ear.session.clone().unwrap_or_default();
            match rooms.iter().find(|room| room.id == standing.room) {
                None => self.find(Crime::Seat, at, format!("{who} believes that it is in a room, which is not there")),
                Some(room) => {
                    let member = room.members.get(&ear.user);
                    let seated = member.is_some_and(|member| member.conn.to_string() == session && member.present());
                    if seated {
                        self.at_the_end(at, &who, &ear, room);
                    } else {
                        self.find(
                            Crime::Seat,
                            at,
                            format!("{who} believes that it is in the room, and is not: {member:?}"),
                        );
                    }
                }
            }
            sessions.insert(session, ear.user.clone());
        }
        for room in rooms {
            for member in room.members.values() {
                if !sessions.contains_key(&member.conn.to_string()) {
                    let what = format!(
                        "{} is in the room ({:?}), but has no socket {}",
                        member.user, member.presence, member.conn
                    );
                    self.find(Crime::Ghost, at, what);
                }
            }
            if room.members.values().any(tandem::room::Member::present) && room.host.is_none() {
                self.find(Crime::Hosts, at, "nobody is the host".to_owned());
            }
            if let Some(host) = &room.host
                && !room.members.contains_key(host)
            {
                self.find(Crime::Hosts, at, format!("{host} is the host, and not in the room"));
            }
        }
        let joins: HashSet<u64> = events
            .iter()
            .filter_map(|entered| match &entered.event {
                Event::Sent { frame, .. } if frame["type"] == "JOIN" => Some(number(frame, "id")),
                _ => None,
            })
            .collect();
        let gone: HashSet<usize> = events
            .iter()
            .filter_map(|entered| match &entered.event {
                Event::Shut { line, code: Some(4503) } => Some(line.0),
                Event::Got { line, frame } if frame["code"] == "forbidden" && joins.contains(&number(frame, "id")) => {
                    Some(line.0)
                }
                _ => None,
            })
            .collect();
        let came: HashSet<usize> = events
            .iter()
            .filter_map(|entered| if let Event::Open { line, .. } = &entered.event { Some(line.0) } else { None })
            .collect();
        for (client, standing) in clients.iter().enumerate() {
            if standing.is_none() && came.contains(&client) && !gone.contains(&client) {
                self.find(Crime::Seat, at, format!("client {client} was not let in again"));
            }
        }
    }

    /// A client that is in has been told everything, and sees what is.
    fn at_the_end(&mut self, at: u64, who: &str, ear: &Ear, room: &Room) {
        match ear.at {
            Some((epoch, _)) if epoch != room.epoch => {
                self.find(Crime::Lost, at, format!("{who} was not told of epoch {}", room.epoch));
            }
            _ => self.silent(at, who, ear, room.version + 1),
        }
        let is: BTreeMap<String, bool> =
            room.members.values().map(|member| (member.user.to_string(), member.present())).collect();
        if is != ear.view {
            self.find(Crime::Ghost, at, format!("{who} sees {:?}, there are {is:?}", ear.view));
        }
        let host = room.shown_host().map(UserId::to_string);
        if host != ear.host {
            self.find(Crime::Hosts, at, format!("{who} takes {:?} for the host, it is {host:?}", ear.host));
        }
    }
}

/// Whether the store forgot this commit, and its node never knew that it was in force, or died.
fn excused(commit: &Committed<'_>, events: &[Entered]) -> bool {
    let is_lost = |entered: &Entered| matches!(entered.event, Event::Loss { since } if since <= commit.at && commit.at <= entered.at);
    let lost = events.iter().any(is_lost);
    let known = events.iter().find_map(|entered| match &entered.event {
        Event::Known { node, point } if *point == commit.update.position() => Some((entered.at, node)),
        _ => None,
    });
    let Some((at, knows)) = known else { return lost };
    let died = |entered: &Entered| entered.at >= at && matches!(&entered.event, Event::Died { node } if node == knows);
    lost && events.iter().any(died)
}

/// The number of a signal.
fn payload(frame: &Value) -> Option<u64> {
    ["offer", "answer", "candidate"].into_iter().find_map(|field| frame[field]["n"].as_u64())
}

fn number(frame: &Value, field: &str) -> u64 {
    frame[field].as_u64().unwrap_or_default()
}

fn text(frame: &Value, field: &str) -> String {
    frame[field].as_str().unwrap_or_default().to_owned()
}
