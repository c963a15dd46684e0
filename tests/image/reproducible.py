"""Whether two images are the same: their binary, their layers and what a container starts with. Only the times of their builds may differ."""

import hashlib
import json
import tarfile
import tempfile

BINARY = "usr/local/bin/tandem"


class Image:
    """As it would be pushed."""

    def __init__(self, store, name):
        with tempfile.TemporaryDirectory() as scratch:
            store.run("podman", "save", "--format", "docker-archive", "--output", f"{scratch}/image.tar", name)
            with tarfile.open(f"{scratch}/image.tar") as archive:
                manifest = json.load(archive.extractfile("manifest.json"))[0]
                config = json.load(archive.extractfile(manifest["Config"]))
                # Some builders note the name of the container that they worked in.
                self.start = {key: value for key, value in config["config"].items() if key != "Hostname"}
                self.layers = config["rootfs"]["diff_ids"]
                self.files = [members(archive.extractfile(layer)) for layer in manifest["Layers"]]

    @property
    def binary(self):
        return next((layer[BINARY].rsplit(" ", 1)[1] for layer in self.files if BINARY in layer), None)


def members(layer):
    """Of a layer, in its order: everything that its digest is made from."""
    with tarfile.open(fileobj=layer) as archive:
        return {member.name: one(archive, member) for member in archive}


def one(archive, member):
    digest = hashlib.sha256(archive.extractfile(member).read()).hexdigest() if member.isfile() else "-"
    owner = f"{member.uid}:{member.gid} {member.uname}:{member.gname}"
    return f"{member.type.decode()} {member.mode:o} {owner} {member.mtime} {member.linkname or '-'} {sorted(member.pax_headers.items())} {digest}"


def differences(first, second):
    """In words; none if they are the same."""
    found = []
    if first.binary is None or first.binary != second.binary:
        found.append(f"the binary: {first.binary} and {second.binary}")
    if first.start != second.start:
        found.append(f"what a container starts with: {first.start} and {second.start}")
    if len(first.layers) != len(second.layers):
        found.append(f"layers: {len(first.layers)} and {len(second.layers)}")
    for number, (before, after) in enumerate(zip(first.layers, second.layers)):
        if before != after:
            found += [f"layer {number}: {before} and {after}", *files(first.files[number], second.files[number])]
    return found


def files(before, after):
    """What differs in one layer."""
    found = [f"  {name}: {before.get(name)} and {after.get(name)}" for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    return found[:20] or ([] if list(before) == list(after) else ["  the order of its files"])
