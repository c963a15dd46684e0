"""What the parts of tests/image/run were last run with: digests of files, in the form of sha256sum, in inputs.sha256.

Each part has files of its own, so that a change asks only for the part that has to do with it. A file of two parts is in both.
"""

import hashlib
import json
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOTED = ROOT / "tests/image/inputs.sha256"
PARTS = ("image", "compose", "pods")
# Scripts that build the image, and those that the deployment to Kubernetes is done with. All the others are for compose.
BUILD = ("scripts/build-binary.sh", "scripts/build-image-root.sh", "scripts/image.sh", "scripts/install-compilers.sh")
KUBERNETES = (
    "scripts/deploy.sh", "scripts/k8s-secrets.sh", "scripts/kube.py", "scripts/preflight", "scripts/prometheus-rule.sh", "scripts/reshape",
    "scripts/rollback.sh", "scripts/rotate-secret-k8s.sh", "scripts/switch-color-k8s.sh",
)  # fmt: skip
# What containers of compose and pods mount, or are tried with, alike.
BOTH = ("k8s/base/redis.conf", "k8s/components/monitoring/rules.yml", "k8s/components/monitoring/dashboard.json", "scripts/smoke-test")
INPUTS = ("Dockerfile", ".dockerignore", "docker-compose.yml", "compose", "pgo/*.profdata", "scripts", "k8s", "overlays")
CRATES = "Cargo.lock"
TARGETS = ("--target", "x86_64-unknown-linux-gnu", "--target", "aarch64-unknown-linux-gnu")


def parts_of(name):
    """Which parts a file has to do with."""
    if name in ("Dockerfile", ".dockerignore", CRATES, *BUILD) or name.endswith(".profdata"):
        return {"image"}
    if name in BOTH:
        return {"compose", "pods"}
    return {"pods"} if name in KUBERNETES or name.startswith(("k8s/", "overlays/")) else {"compose"}


def git_files(*paths):
    done = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *paths], cwd=ROOT, text=True, capture_output=True, check=True)
    return sorted({name for name in done.stdout.split("\n") if name and (ROOT / name).is_file()})


def crates():
    """What Cargo.lock has of the packages that the image is built from, sorted: a crate that only tests need makes no other image."""
    command = ["cargo", "tree", "--locked", "--offline", "--package", "tandem", "--features", "jemalloc", "--edges", "normal,build", "--prefix", "none", "--format", "{p}", *TARGETS]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")
    # Of the workspace's own crates the folder is no part of it; `(*)` says that it was there before.
    return sorted({" ".join(line.split()[:2]) for line in done.stdout.splitlines() if line.strip()})


def now():
    """Name and digest of each, by part."""
    digests = {name: hashlib.sha256((ROOT / name).read_bytes()).hexdigest() for name in git_files(*INPUTS)}
    digests[CRATES] = hashlib.sha256(json.dumps(crates()).encode()).hexdigest()
    return {part: {name: digest for name, digest in sorted(digests.items()) if part in parts_of(name)} for part in PARTS}


def noted():
    """What now() was when each part last went well; nothing for one that never did."""
    found = {part: {} for part in PARTS}
    part = None
    for line in NOTED.read_text().splitlines() if NOTED.exists() else []:
        if line.startswith("# "):
            part = line[2:]
        else:
            digest, name = line.split("  ", 1)
            found[part][name] = digest
    return found


def note(digests):
    """That these parts went well; of the others stays what was noted before."""
    kept = {**noted(), **digests}
    NOTED.write_text("".join(f"# {part}\n" + "".join(f"{digest}  {name}\n" for name, digest in sorted(kept[part].items())) for part in PARTS))


def changed(before, after):
    """What is different, and how."""
    return (
        [f"{name} has changed" for name in sorted(before.keys() & after.keys()) if before[name] != after[name]]
        + [f"{name} is new" for name in sorted(after.keys() - before.keys())]
        + [f"{name} is gone" for name in sorted(before.keys() - after.keys())]
    )


def stale(before, after):
    """Of each part that was not tried as it is now: what to run, and why."""
    return [
        f"run `tests/image/run {part}` as root, and commit {NOTED.relative_to(ROOT)}: {', '.join(changed(before.get(part, {}), after[part])[:8]) if before.get(part) else 'it never went well'}"
        for part in PARTS
        if before.get(part, {}) != after[part]
    ]
