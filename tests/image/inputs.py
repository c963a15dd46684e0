"""What tests/image/run was last run with: a digest of each file, in the form of sha256sum, in inputs.sha256."""

import hashlib
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOTED = ROOT / "tests/image/inputs.sha256"
INPUTS = ("Dockerfile", ".dockerignore", "docker-compose.yml", "Cargo.lock", "compose", "scripts", "k8s", "overlays")
COMMAND = "tests/image/run"


def now():
    """Name and digest of each."""
    names = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *INPUTS], cwd=ROOT, text=True, capture_output=True, check=True).stdout.split("\n")
    return {name: hashlib.sha256((ROOT / name).read_bytes()).hexdigest() for name in sorted(set(names)) if (ROOT / name).is_file()}


def noted():
    lines = NOTED.read_text().splitlines() if NOTED.exists() else []
    return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}


def note(digests):
    NOTED.write_text("".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items())))


def changed(before, after):
    """What is different, and how."""
    return (
        [f"{name} has changed" for name in sorted(before.keys() & after.keys()) if before[name] != after[name]]
        + [f"{name} is new" for name in sorted(after.keys() - before.keys())]
        + [f"{name} is gone" for name in sorted(before.keys() - after.keys())]
    )
