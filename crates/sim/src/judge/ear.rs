use std::collections::BTreeMap;

use serde_json::Value;
use tandem::id::{NodeId, UserId};

use super::{
    court::Court,
    field::{number, text},
    verdict::Crime,
};
use crate::record::Line;

/// What a client has been told on one socket.
pub(super) struct Ear {
    pub(super) user: UserId,
    pub(super) modern: bool,
    pub(super) node: NodeId,
    /// The last version of which it was told, and the frames of that version.
    pub(super) at: Option<(u64, u64)>,
    pub(super) heard: Vec<Value>,
    pub(super) session: Option<String>,
    /// The members, and whether each is present.
    pub(super) view: BTreeMap<String, bool>,
    pub(super) host: Option<String>,
    pub(super) resume: Option<(u64, (u64, u64))>,
    pub(super) resumed: bool,
}

impl Court<'_> {
    pub(super) fn told(&mut self, at: u64, line: Line, frame: &Value) {
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

    pub(super) fn room_frame(&mut self, at: u64, line: Line, ear: &mut Ear, kind: &str, frame: &Value) {
        let who = format!("{} on socket {line:?} at {}", ear.user, ear.node);
        let point = (number(frame, "epoch"), number(frame, "version"));
        let Some(before) = ear.at else {
            return self.find(Crime::Order, at, format!("{who} got {kind} {point:?} before it was in"));
        };
        // A host of the first generation is told again that it is the host.
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
    pub(super) fn silent(&mut self, at: u64, who: &str, ear: &Ear, until: u64) {
        let Some((epoch, last)) = ear.at else { return };
        // It may have got only some of the frames of the last version.
        let rest = self.truth.steps.get(&(epoch, last)).is_some_and(|steps| {
            !ear.heard.is_empty()
                && steps.iter().all(|step| {
                    step.told.iter().any(|told| {
                        told.is_for(&ear.user)
                            && !told.is_optional(&ear.user, ear.modern)
                            && !ear.heard.contains(&told.frame)
                    })
                })
        });
        if rest && !ear.resumed {
            self.find(Crime::Lost, at, format!("{who} got a part of version {last} only"));
        }
        for version in last + 1..until {
            match self.truth.is_silent((epoch, version), &ear.user, ear.modern) {
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
}
