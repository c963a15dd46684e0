"""Shared by preflight and reshape: kubectl, and the objects of an overlay. Needs only Python 3.8 and kubectl."""

import json
import os
import pathlib
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
KUBECTL = shlex.split(os.environ.get("KUBECTL", "kubectl"))
COMPONENT = "app.kubernetes.io/component"


class Refused(Exception):
    """kubectl failed; the text is its output."""


def kubectl(*arguments, given=None):
    done = subprocess.run([*KUBECTL, *arguments], input=given, text=True, capture_output=True, check=False, cwd=ROOT)
    if done.returncode:
        raise Refused(done.stderr.strip() or f"kubectl {' '.join(arguments[:3])} ended with {done.returncode}")
    return done.stdout


def parse(text):
    """Parses consecutive JSON objects, and flattens lists."""
    objects, decoder, place = [], json.JSONDecoder(), 0
    while True:
        while place < len(text) and text[place].isspace():
            place += 1
        if place == len(text):
            return objects
        value, place = decoder.raw_decode(text, place)
        objects += value["items"] if "items" in value and value["kind"].endswith("List") else [value]


def ask(*arguments):
    """The objects in the answer of the cluster; empty if there are none."""
    return parse(kubectl(*arguments, "--ignore-not-found", "-o", "json"))


def objects(manifests):
    """Parses the YAML that kustomize writes, with kubectl but without a cluster. kubectl adds an annotation, which is removed."""
    found = parse(kubectl("annotate", "--local", "-f", "-", "-o", "json", "tandem.example/read=1", given=manifests))
    for one in found:
        del one["metadata"]["annotations"]["tandem.example/read"]
        if not one["metadata"]["annotations"]:
            del one["metadata"]["annotations"]
    return found


def overlay(name):
    if not (ROOT / "overlays" / name / "kustomization.yaml").exists():
        sys.exit(f"there is no overlays/{name}")
    return objects(kubectl("kustomize", f"overlays/{name}"))


def title(one):
    return f"{one['kind']}/{one['metadata']['name']}"


def template(one):
    """The pod template of the object, or None."""
    if one["kind"] in ("Deployment", "StatefulSet"):
        return one["spec"]["template"]["spec"]
    return one["spec"]["jobTemplate"]["spec"]["template"]["spec"] if one["kind"] == "CronJob" else None


def changed_for_good(live, wanted):
    """The immutable fields of a StatefulSet that differ."""
    fields = {"serviceName": None, "podManagementPolicy": "OrderedReady", "selector": None}
    different = [name for name, usual in fields.items() if live["spec"].get(name, usual) != wanted["spec"].get(name, usual)]

    def claims(one):
        return [(c["metadata"]["name"], c["spec"]["resources"]["requests"], c["spec"].get("storageClassName")) for c in one["spec"].get("volumeClaimTemplates", [])]

    have, want = claims(live), claims(wanted)
    # A storage class that the cluster filled in is no difference.
    if [(a, b) for a, b, _ in have] != [(a, b) for a, b, _ in want] or any(w and w != h for (_, _, h), (_, _, w) in zip(have, want)):
        different.append("volumeClaimTemplates")
    return different
