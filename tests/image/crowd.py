#!/usr/bin/env python3
"""A crowd that talks: members of rooms who say a word now and then, and resume when their socket ends. Lives until its input ends; then
all say a last word, and what each was told is compared: nothing lost, doubled or out of order. Its last line is the verdict, as JSON.

    tests/image/crowd.py URL ROOMS MEMBERS
"""

import hashlib
import importlib.machinery
import importlib.util
import json
import pathlib
import random
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("smoke", str(ROOT / "scripts/smoke-test"))
smoke = importlib.util.module_from_spec(importlib.util.spec_from_loader("smoke", loader))
loader.exec_module(smoke)

# Frames that are the same for every member.
FOR_ALL = {"BROADCAST", "PLAY_PAUSE", "SEEK_PAUSE", "URL_CHANGE", "HOST_CHANGED", "GUEST_CONTROL"}


class Member(threading.Thread):
    def __init__(self, crowd, room, user):
        super().__init__(daemon=True)
        self.crowd, self.room, self.user = crowd, room, user
        # What it was told without a hole that it was not told of: [epoch, after this version, up to this one, frames by version].
        self.segments = []
        self.confirmed, self.wrongs, self.refused, self.last_words = [], [], [], set()
        self.token = None
        self.said = self.resumed = self.rejoined = self.broken = 0
        self.longest_absence = 0.0

    def run(self):
        lost = None
        while not self.crowd.over.is_set():
            try:
                wire = smoke.Socket(self.crowd.url, 5.0, True)
                if self.enter(wire):
                    if lost:
                        self.longest_absence = max(self.longest_absence, time.monotonic() - lost)
                        lost = None
                    self.crowd.arrived(self.user)
                    self.stay(wire)
            except (OSError, smoke.Closed, smoke.Refused, TimeoutError):
                self.broken += 1
            lost = lost or time.monotonic()
            self.crowd.over.wait(random.uniform(0.05, 0.4))

    def enter(self, wire):
        if self.token:
            epoch, _, version, _ = self.segments[-1]
            wire.send(type="RESUME", roomId=self.room, userId=self.user, resumeToken=self.token, epoch=epoch, version=version, features=["resume", "ack"])
        else:
            wire.send(type="JOIN", roomId=self.room, userId=self.user, username=self.user, features=["resume", "ack"])
        while True:
            frame = wire.receive(10)
            if frame["type"] == "ERROR":
                if frame["code"] == "not_joined":
                    self.token, self.rejoined = None, self.rejoined + 1
                elif frame["code"] not in ("unavailable", "identity_in_use"):
                    self.wrongs.append(f"let in with {frame}")
                wire.close()
                return False
            self.take(frame)
            if frame["type"] in ("RESUMED", "ROOM_STATE"):
                self.token = frame.get("resumeToken") or self.token
                self.resumed += frame["type"] == "RESUMED"
                return True

    def stay(self, wire):
        speak, last = time.monotonic() + random.uniform(0, 1), 0.0
        while not self.crowd.over.is_set():
            closing = self.crowd.closing.is_set()
            if closing and time.monotonic() - last > 2:
                last = time.monotonic()
                self.said += 1
                wire.send(type="BROADCAST", event="last", data=self.said, id=self.said)
            elif not closing and time.monotonic() >= speak:
                speak = time.monotonic() + random.uniform(0.3, 0.9)
                self.said += 1
                wire.send(type="BROADCAST", event="word", data=self.said, id=self.said)
            try:
                self.take(wire.receive(0.2))
            except TimeoutError:
                pass

    def take(self, frame):
        kind = frame["type"]
        if kind == "ROOM_STATE":
            self.segments.append([frame["epoch"], frame["version"], frame["version"], {}])
        elif kind == "ACK":
            if "version" in frame and self.segments:
                self.confirmed.append((self.segments[-1][0], frame["version"]))
        elif kind == "ERROR":
            self.refused.append(frame["code"])
        elif kind == "BROADCAST" and frame["event"] == "last":
            self.last_words.add(frame["userId"])
        if kind in ("ROOM_STATE", "ACK", "RESUMED") or "version" not in frame or "epoch" not in frame or not self.segments:
            return
        segment = self.segments[-1]
        if frame["epoch"] != segment[0] or frame["version"] <= segment[2]:
            self.wrongs.append(f"after {segment[:3]}: {frame}")
            return
        segment[2] = frame["version"]
        if kind in FOR_ALL:
            segment[3][frame["version"]] = hashlib.sha256(json.dumps(frame, sort_keys=True).encode()).hexdigest()


class Crowd:
    def __init__(self, url, rooms, members):
        self.url = url
        self.closing, self.over = threading.Event(), threading.Event()
        self.inside, self.lock = set(), threading.Lock()
        self.members = [Member(self, f"crowd-{room}", f"user_{room}_{place}") for room in range(rooms) for place in range(members)]

    def arrived(self, user):
        with self.lock:
            self.inside.add(user)
            if len(self.inside) == len(self.members):
                print("all are in", flush=True)
                self.inside.add("")

    def live(self):
        for member in self.members:
            member.start()
        sys.stdin.read()
        self.closing.set()
        company = {}
        for member in self.members:
            company.setdefault(member.room, set()).add(member.user)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not all(company[member.room] <= member.last_words for member in self.members):
            time.sleep(0.1)
        self.over.set()
        for member in self.members:
            member.join(10)
        unfinished = [member.user for member in self.members if not company[member.room] <= member.last_words]
        print(json.dumps(self.judge(unfinished)), flush=True)

    def judge(self, unfinished):
        wrongs = [f"{member.user}: {wrong}" for member in self.members for wrong in member.wrongs]
        wrongs += [f"{user} did not hear all last words" for user in unfinished]
        told = {}
        for member in self.members:
            for epoch, _, _, frames in member.segments:
                for version, digest in frames.items():
                    if told.setdefault((member.room, epoch, version), digest) != digest:
                        wrongs.append(f"{member.user} was told something else of {member.room} {epoch}/{version} than another")
        for member in self.members:
            for epoch, since, until, frames in member.segments:
                lost = [version for room, of, version in told if (room, of) == (member.room, epoch) and since < version <= until and version not in frames]
                wrongs += [f"{member.user} was not told of {member.room} {epoch}/{version}" for version in lost]
            wrongs += [f"{member.user} was told that {member.room} {at} is done, and nobody heard it" for at in member.confirmed if (member.room, *at) not in told]
        total = lambda field: sum(getattr(member, field) for member in self.members)  # noqa: E731
        refused = {}
        for member in self.members:
            for code in member.refused:
                refused[code] = refused.get(code, 0) + 1
        return {
            "wrongs": wrongs, "said": total("said"), "confirmed": sum(len(member.confirmed) for member in self.members),
            "heard": sum(len(frames) for member in self.members for *_, frames in member.segments),
            "resumed": total("resumed"), "rejoined": total("rejoined"), "begun_anew": sum(len(member.segments) - 1 for member in self.members),
            "refused": refused, "longest_absence": round(max(member.longest_absence for member in self.members), 2),
            "events": sorted(f"{room} {epoch} {version}" for room, epoch, version in told),
        }  # fmt: skip


if __name__ == "__main__":
    Crowd(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])).live()
