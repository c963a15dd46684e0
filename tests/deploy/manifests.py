"""Builds every overlay with every component, and gives names to what is in the result."""

import concurrent.futures
import copy
import pathlib
import shutil
import subprocess
import tempfile

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
OVERLAYS = ["dev", "staging", "prod"]
COMPONENTS = [
    "monitoring", "autoscale", "autoscale-sockets", "managed", "redis-sentinel", "redis-cluster", "mesh", "coturn", "bluegreen", "gateway-api", "ingress",
    "external-secret", "pull-secret",
]  # fmt: skip
# What may be on at once and meets: each list is tried on each overlay.
TOGETHER = [
    ["managed", "mesh", "coturn", "bluegreen", "external-secret", "monitoring", "pull-secret"],
    ["redis-sentinel", "gateway-api", "coturn", "bluegreen", "monitoring", "autoscale", "autoscale-sockets"],
    ["redis-cluster", "mesh", "gateway-api", "external-secret", "autoscale"],
]
# Who brings Redis: the one that is wanted takes the place of the overlay's.
REDIS = {"managed", "redis-sentinel", "redis-cluster"}


class Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):
    """Without YAML 1.1's dates."""


Loader.yaml_implicit_resolvers = {
    key: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for key, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class Built:
    """The objects of one build."""

    def __init__(self, name, overlay, components, docs):
        self.name, self.overlay, self.components, self.docs = name, overlay, components, docs

    def copy(self):
        return Built(self.name, self.overlay, self.components, copy.deepcopy(self.docs))

    def of(self, *kinds):
        return [doc for doc in self.docs if doc["kind"] in kinds]

    def get(self, kind, name):
        found = [doc for doc in self.of(kind) if base_name(doc) == name]
        if len(found) != 1:
            raise LookupError(f"{len(found)} {kind} {name}")
        return found[0]

    def has(self, kind, name):
        return any(base_name(doc) == name for doc in self.of(kind))

    def workloads(self):
        """(object, pod template) of all that makes pods."""
        for doc in self.of("Deployment", "StatefulSet"):
            yield doc, doc["spec"]["template"]
        for doc in self.of("CronJob"):
            yield doc, doc["spec"]["jobTemplate"]["spec"]["template"]

    def containers(self):
        """(object, pod spec, container), init containers too."""
        for doc, template in self.workloads():
            spec = template["spec"]
            for container in spec.get("initContainers", []) + spec["containers"]:
                yield doc, spec, container


def base_name(doc):
    """Without the hash that a generator adds."""
    name = doc["metadata"]["name"]
    stem, _, last = name.rpartition("-")
    hashed = doc["kind"] in ("ConfigMap", "Secret") and len(last) == 10 and stem and set(last) <= set("bcdfghkmt2456789")
    return stem if hashed else name


def title(doc):
    return f"{doc['kind']}/{doc['metadata']['name']}"


def settle(overlay, wanted):
    """The list of components of the overlay, with these too."""
    listed = yaml.safe_load((ROOT / "overlays" / overlay / "kustomization.yaml").read_text()).get("components", [])
    names = [pathlib.Path(path).name for path in listed] + wanted
    if REDIS & set(wanted):
        names = [name for name in names if name not in REDIS or name in wanted]
    names = list(dict.fromkeys(names))
    if "bluegreen" in names and "autoscale" in names:
        names.remove("autoscale")
        names.append("autoscale-bluegreen")
    # It comes first, as its comment says: the others change what it brings. And what changes the autoscalers comes after them.
    names.sort(key=lambda name: (name != "bluegreen") + (name in ("autoscale-sockets", "pull-secret")))
    # dev says itself how many nodes there are and what its secrets are, staging how many nodes.
    scaling = {"autoscale", "autoscale-bluegreen", "autoscale-sockets"}
    unfit = {"dev": scaling | {"external-secret"}, "staging": scaling}.get(overlay, set())
    return [name for name in names if name not in unfit]


def combinations():
    for overlay in OVERLAYS:
        yield overlay, []
        for wanted in [[component] for component in COMPONENTS] + TOGETHER:
            if set(settle(overlay, wanted)) != set(settle(overlay, [])):
                yield overlay, wanted


def build_all(kubectl):
    """Every combination as this kubectl builds it: the text by the name of the combination."""
    with tempfile.TemporaryDirectory() as directory:
        top = pathlib.Path(directory)
        shutil.copytree(ROOT / "k8s", top / "k8s")

        def build(combination):
            overlay, wanted = combination
            name = "+".join([overlay, *wanted])
            place = top / "overlays" / name
            shutil.copytree(ROOT / "overlays" / overlay, place)
            file = place / "kustomization.yaml"
            kustomization = yaml.safe_load(file.read_text())
            components = settle(overlay, wanted)
            if components:
                kustomization["components"] = [f"../../k8s/components/{component}" for component in components]
            if "bluegreen" in components:
                kustomization["images"] += [{"name": f"tandem-{color}", "newName": "ghcr.io/example/tandem", "newTag": f"0.1.{i}"} for i, color in enumerate(["blue", "green"])]
            file.write_text(yaml.safe_dump(kustomization))
            done = subprocess.run([kubectl, "kustomize", str(place)], text=True, capture_output=True, check=False)
            return name, overlay, components, done

        results = {}
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for name, overlay, components, done in pool.map(build, list(combinations())):
                results[name] = (overlay, components, done.stdout if done.returncode == 0 else None, done.stderr)
        return results


def parse(results):
    return [
        Built(name, overlay, components, [doc for doc in yaml.load_all(text, Loader) if doc])
        for name, (overlay, components, text, _) in results.items()
        if text
    ]
