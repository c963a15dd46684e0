"""All checks of the deployment; tests/deploy/run starts it."""

import hashlib
import json
import os
import pathlib
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time

import yaml

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "image"))

import database
import inputs
import manifests
import rules
import scrape
from manifests import ROOT

os.chdir(ROOT)
BINARY = os.environ.get("NODE_BINARY", str(ROOT / "target/debug/tandem"))
passed = failed = skipped = 0


def check(name, good, detail=""):
    """`detail`: what is wrong; a list is cut."""
    global passed, failed
    if good:
        passed += 1
        print(f"ok      {name}", flush=True)
        return
    failed += 1
    if isinstance(detail, (list, tuple)):
        detail = "".join(f"\n          {line}" for line in list(detail)[:12]) + ("\n          ..." if len(detail) > 12 else "")
    print(f"FAILED  {name}: {detail}", flush=True)


def skip(name, why):
    global skipped
    skipped += 1
    print(f"skipped {name}: {why}", flush=True)


def section(name):
    print(f"\n-- {name}", flush=True)


def run(*command, **more):
    return subprocess.run([str(part) for part in command], text=True, capture_output=True, check=False, **more)


def tool(name, *command, **more):
    done = run(*command, **more)
    check(name, done.returncode == 0, (done.stdout + done.stderr)[-3000:])
    return done


def git_files(*patterns):
    """Never none: a git that refuses would otherwise make every check pass that is made of its files."""
    done = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns)
    if done.returncode or not done.stdout.split():
        sys.exit(f"git names no file of {', '.join(patterns)}: {done.stderr}")
    return [path for path in done.stdout.split() if pathlib.Path(path).is_file()]


# ---- Kubernetes ----


def kubernetes():
    section("Kubernetes: every overlay, alone and with every component")
    results = manifests.build_all("kubectl")
    bad = [f"{name}: {error[-400:]}" for name, (_, _, text, error) in results.items() if text is None]
    check(f"{len(results)} combinations are built", not bad, bad)
    old = manifests.build_all("kubectl-1.27")
    different = [name for name in results if results[name][2] != old[name][2]]
    check("kubectl 1.27 builds the very same", not different, different)
    builds = manifests.parse(results)
    by_name = {build.name: build for build in builds}
    for rule in rules.RULES:
        problems = {}
        for build in builds:
            for problem in rule(build):
                problems.setdefault(problem, []).append(build.name)
        check(f"{rule.__name__}: {rule.__doc__}", not problems, [f"{problem} (in {', '.join(names[:3])})" for problem, names in problems.items()])
    for rule, mutations in rules.BROKEN.items():
        for name, mutate, *elsewhere in mutations:
            build = by_name[elsewhere[0] if elsewhere else "prod"].copy()
            # Of a rule that is broken already nothing can be told.
            assert not rule(build), f"{rule.__name__} in {build.name}"
            mutate(build)
            check(f"{rule.__name__} finds {name}", bool(rule(build)), "it was let through")
    for program in ("kubectl", "kubectl-1.27"):
        with tempfile.TemporaryDirectory() as scratch:
            for name in ("k8s", "overlays"):
                shutil.copytree(ROOT / name, f"{scratch}/{name}")
            file = pathlib.Path(scratch, "overlays/prod/kustomization.yaml")
            overlay = yaml.safe_load(file.read_text())
            overlay["components"] = ["../../k8s/components/managed"]
            overlay["patches"].append({"target": {"kind": "ConfigMap", "name": "tandem"}, "patch": "- {op: replace, path: /data/REDIS_URL, value: 'rediss://mine.example.org'}"})
            file.write_text(yaml.safe_dump(overlay))
            built = run(program, "kustomize", file.parent)
            check(f"a patch in the overlay wins over a component ({program})", "REDIS_URL: rediss://mine.example.org\n" in built.stdout, built.stderr)
    plain = [build for build in builds if "+" not in build.name]
    check(f"across: {rules.across.__doc__}", not rules.across(plain), rules.across(plain))
    check("across finds two that are the same", bool(rules.across([plain[0], plain[0].copy()])))

    if pathlib.Path(BINARY).exists():
        environments = {}
        for build in builds:
            for doc, _, container in build.containers():
                if rules.is_tandem(container):
                    env = own_settings(container["args"][0], rules.environment(build, container))
                    environments.setdefault(json.dumps(env, sort_keys=True), (build.name, manifests.title(doc)))
        bad = []
        for text, where in environments.items():
            done = config(json.loads(text))
            if done.returncode:
                bad.append(f"{where}: {done.stderr}")
        check(f"tandem takes the settings of all pods ({len(environments)} different ones)", not bad, bad)
        commands = {container["args"][0] for build in builds for _, _, container in build.containers() if rules.is_tandem(container)}
        for build in builds:
            for _, _, container in build.containers():
                commands.update(container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", [])[1:2] if rules.is_tandem(container) else [])
        bad = sorted(command for command in commands if run(BINARY, command, "--help", env={"PATH": os.environ["PATH"]}, cwd="/").returncode)
        check(f"tandem has the commands that pods run: {', '.join(sorted(commands))}", not bad, f"not {', '.join(bad)}")
        env = json.loads(next(iter(environments)))
        check("and refuses a value that is none", config({**env, "PORT": "http"}).returncode != 0)
        check("and a setting that it does not know", config({**env, "TANDEM_DATADIR": "x"}).returncode != 0)
    else:
        skip("tandem takes the settings of all pods", f"there is no {BINARY}")
    return builds


def own_settings(command, env):
    """A worker and a migration look at no TURN server; `tandem config` looks at everything."""
    return env if command == "serve" else {name: value for name, value in env.items() if not name.startswith("TURN_")}


def config(env):
    return run(BINARY, "config", env={"PATH": os.environ["PATH"], **env}, cwd="/")


# ---- Monitoring ----

def metric_names():
    """The metrics of nodes and workers in Prometheus, by docs/metrics.md, which another test compares with the registries. Deprecated names,
    which the next release no longer exports, are left out."""
    names = {
        "up", "kube_cronjob_status_last_successful_time", "kube_cronjob_created", "kube_pod_status_phase", "kube_horizontalpodautoscaler_status_condition",
        "kubelet_volume_stats_available_bytes", "kubelet_volume_stats_capacity_bytes",
    }  # fmt: skip
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|.*\| (.*) \|$", (ROOT / "docs/metrics.md").read_text(), re.M)
    for name, kind, text in rows:
        if text.startswith("Deprecated since"):
            continue
        names |= {f"{name}{suffix}" for suffix in ("_bucket", "_count", "_sum")} if kind == "histogram" else {name}
    return names


def unknown_metrics(expressions, known):
    found = set()
    for expression in expressions:
        bare = re.sub(r"\{[^}]*\}|\"[^\"]*\"|\[[^\]]*\]|\b(by|without)\s*\([^)]*\)", " ", expression)
        found |= set(re.findall(r"\b(?:tandem|kube|kubelet|process)_\w+|\bup\b", bare)) or {f"nothing in {expression}"}
    return found - known


def dashboard_expressions(dashboard):
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield target["expr"]
    for annotation in dashboard["annotations"]["list"]:
        yield annotation["expr"]


def overlapping(dashboard):
    """Panels that lie on each other, or beside the grid."""
    taken, bad = {}, []
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                if x >= 24 or (x, y) in taken:
                    bad.append(panel["title"])
                taken[x, y] = panel["id"]
    return sorted(set(bad))


def monitoring():
    section("Monitoring")
    directory = ROOT / "k8s/components/monitoring"
    tool("promtool takes the alerts", "promtool", "check", "rules", directory / "rules.yml")
    tool("alerts come when they should, and only then", "promtool", "test", "rules", "tests/deploy/rules.test.yml")
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copy(ROOT / "compose/prometheus.yml", scratch)
        shutil.copy(directory / "rules.yml", scratch)
        tool("promtool takes the configuration", "promtool", "check", "config", f"{scratch}/prometheus.yml")
        text = (directory / "rules.yml").read_text()
        pathlib.Path(scratch, "rules.yml").write_text(text.replace("> 0.25", "> > 0.25"))
        check("promtool refuses a broken alert", run("promtool", "check", "rules", f"{scratch}/rules.yml").returncode != 0)
        # The tests notice an alert that comes too early.
        test = (ROOT / "tests/deploy/rules.test.yml").read_text().replace("../../k8s/components/monitoring/rules.yml", "rules.yml")
        pathlib.Path(scratch, "test.yml").write_text(test)
        pathlib.Path(scratch, "rules.yml").write_text(text.replace("tandem_redis_probe_age_seconds) > 4", "tandem_redis_probe_age_seconds) > 0.01"))
        check("the tests of the alerts find one that is too eager", run("promtool", "test", "rules", f"{scratch}/test.yml").returncode != 0)
    source = yaml.safe_load((directory / "rules.yml").read_text())
    written = yaml.safe_load((directory / "prometheus-rule.yaml").read_text())
    check("the rules of the operator are those of rules.yml", written["spec"] == source, "run scripts/prometheus-rule.sh")
    alerts = [rule for group in source["groups"] for rule in group["rules"]]
    bad = [rule["alert"] for rule in alerts if not rule["annotations"].get("runbook") or rule["labels"].get("severity") not in ("critical", "warning")]
    check("each alert says how bad it is, and what to do", not bad, bad)
    docs = (ROOT / "docs/operations.md").read_text()
    bad = [rule["alert"] for rule in alerts if f"| {rule['alert']} | {rule['labels']['severity']} | {rule['annotations']['runbook']} |" not in docs]
    check("docs/operations.md says the same", not bad, bad)
    known = metric_names()
    dashboard = json.loads((directory / "dashboard.json").read_text())
    expressions = [rule["expr"] for rule in alerts] + list(dashboard_expressions(dashboard))
    check(f"all {len(expressions)} expressions use metrics that there are", not unknown_metrics(expressions, known), unknown_metrics(expressions, known))
    check("and one that there is not is found", bool(unknown_metrics(["rate(tandem_frames_send_total[5m])"], known)))
    check("and a deprecated name is found", unknown_metrics(["tandem_echo_seconds"], known) == {"tandem_echo_seconds"})
    with tempfile.TemporaryDirectory() as scratch:
        panels = [expression.replace("$__rate_interval", "5m").replace("$namespace", ".*") for expression in dashboard_expressions(dashboard)]
        groups = {"groups": [{"name": "panels", "rules": [{"record": f"panel:{i}", "expr": expression} for i, expression in enumerate(panels)]}]}
        pathlib.Path(scratch, "panels.yml").write_text(yaml.safe_dump(groups))
        tool("promtool takes the expressions of all panels", "promtool", "check", "rules", "--lint=none", f"{scratch}/panels.yml")
    ids = [panel["id"] for panel in dashboard["panels"]]
    check("the panels lie side by side, each with an id of its own", len(ids) == len(set(ids)) and not overlapping(dashboard), overlapping(dashboard))


# ---- Compose, image ----

# What a drain takes at the most, besides DRAIN_SECONDS.
DRAIN_REST = 4.5
DRAIN_SECONDS = {
    "compose": float(re.search(r"DRAIN_SECONDS: \$\{DRAIN_SECONDS:-(\d+)\}", (ROOT / "docker-compose.yml").read_text())[1]),
    "image": float(re.search(r"\bDRAIN_SECONDS=(\d+)", (ROOT / "Dockerfile").read_text())[1]),
}
COMPOSE_SETTINGS = {"edge": "${EDGE_MEMORY_LIMIT:-2304m}", "node": "256m", "worker": "256m"}


def compose_problems(compose):
    known = rules.KNOWN_SETTINGS
    for name, service in compose["services"].items():
        image = service["image"]
        if "${" not in image and not re.fullmatch(r"[a-z0-9./-]+:v?\d[\w.-]*", image):
            yield f"{name}: {image} is not pinned"
        if "mem_limit" not in service:
            yield f"{name} has no bound on memory"
        if name in COMPOSE_SETTINGS and service.get("mem_limit") != COMPOSE_SETTINGS[name]:
            yield f"{name}: {service.get('mem_limit')}"
        if service.get("restart") not in ("unless-stopped", "on-failure"):
            yield f"{name} is not started again"
        if "test" not in service.get("healthcheck", {}) and name != "migrate":
            yield f"{name} has no health check"
        if "depends_on" in service:
            yield f"{name} waits for another to start"
        if "no-new-privileges:true" not in service.get("security_opt", []):
            yield f"{name} may gain privileges"
        environment = service.get("environment", {})
        if service.get("command", [""])[0] in ("serve", "worker", "migrate"):
            for key in set(environment) - known:
                yield f"{name}: tandem has no setting {key}"
        for key, value in environment.items():
            if re.search("PASSWORD|SECRET|AUTH$", key) and not re.fullmatch(r"\$\{\w+:[?].+\}|\$\{\w+:-\}|\$\{\w+:-\$\{\w+:[?].+\}\}", value):
                yield f"{name}: {key} is written out"
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./"):
                if not (ROOT / source).exists():
                    yield f"{name}: there is no {source}"
            elif source not in compose["volumes"]:
                yield f"{name}: no volume {source}"
        seconds = int(re.fullmatch(r"(\d+)s", service.get("stop_grace_period", "10s"))[1])
        if service.get("command", [""])[0] == "serve" and seconds < DRAIN_SECONDS["compose"] + DRAIN_REST:
            yield f"{name} is killed while it drains"
        if "build" in service and name != "node":
            yield f"{name} builds the image once more"
        for port in service.get("ports", []):
            if name not in ("edge", "coturn") and not port.startswith("127.0.0.1:"):
                yield f"{name} is open to the world at {port}"
        for network in service.get("networks", []):
            if network not in compose["networks"]:
                yield f"{name}: no network {network}"


def compose():
    section("Compose")
    tool("docker-compose.yml is one", "check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml")
    text = (ROOT / "docker-compose.yml").read_text()
    whole = yaml.safe_load(text)
    check("images are pinned, memory is bounded, all are watched and started again, no secret is written out", not list(compose_problems(whole)), list(compose_problems(whole)))
    for name, old, new in (
        ("an image that is not pinned", "postgres:15.18-alpine", "postgres"),
        ("a node without a bound", "  mem_limit: 256m\n  ulimits", "  ulimits"),
        ("a setting that tandem does not have", "  POSTGRES_HOST: postgres", "  POSTGRES_HOSTS: postgres"),
        ("a password that is written out", "POSTGRES_PASSWORD: ${POSTGRES_PASSWORD:?run scripts/compose-secrets.sh}", "POSTGRES_PASSWORD: hush"),
        ("a node that is killed while it drains", "stop_grace_period: 20s\n  mem_limit: 256m\n  ulimits", "stop_grace_period: 12s\n  mem_limit: 256m\n  ulimits"),
        ("a second build of the image", "    command: [migrate]", "    build: .\n    command: [migrate]"),
        ("a file that is not there", "./compose/Caddyfile", "./Caddyfile"),
        ("Prometheus for the world", "127.0.0.1:9090:9090", "9090:9090"),
    ):
        assert old in text, old
        check(f"compose finds {name}", bool(list(compose_problems(yaml.safe_load(text.replace(old, new, 1))))), "it was let through")
    services = {name for name, service in whole["services"].items() if not service.get("profiles")}
    wanted = {"edge", "node", "migrate", "worker", "postgres", "redis", "coturn"}
    check("without a profile: " + ", ".join(sorted(wanted)), services == wanted, services)
    names = re.search(r"\{\$NODES:([^}]*)\}", (ROOT / "compose/Caddyfile").read_text())[1]
    check("the Caddyfile and compose name the same nodes", f"${{NODES:-{names}}}" in text)
    # The real Docker Compose, which needs no docker to read its file; the package's own command hides the exit code.
    program = pathlib.Path(shutil.which("docker-compose")).parent.parent.joinpath("lib").rglob("compose/docker-compose")
    program = next(iter(program))
    variables = set(re.findall(r"\$\{(\w+):\?", text))
    with tempfile.TemporaryDirectory() as scratch:
        env_file = pathlib.Path(scratch, "env")
        env_file.write_text("".join(f"{name}=stands-in-for-a-secret\n" for name in variables))
        done = run(program, "--env-file", env_file, "--profile", "*", "config", "--format", "json")
        check("Docker Compose reads it, with all profiles", done.returncode == 0, done.stderr)
        # As the containers will see it: merged, with all values in place.
        bad = []
        if pathlib.Path(BINARY).exists() and done.returncode == 0:
            for name, service in json.loads(done.stdout)["services"].items():
                if (service.get("command") or [""])[0] in ("serve", "worker", "migrate"):
                    answer = config({key: value or "" for key, value in service["environment"].items()})
                    if answer.returncode:
                        bad.append(f"{name}: {answer.stderr}")
            check("tandem takes the settings of its services", not bad, bad)
        env_file.write_text(env_file.read_text() + "ENFORCE_CONTROL=false\nLEDGER_RETENTION_MONTHS=0\nSITE=watch.example.org\n")
        seen = json.loads(run(program, "--env-file", env_file, "config", "--format", "json").stdout)["services"]
        node, worker = seen["node"]["environment"], seen["worker"]["environment"]
        reached = (node["ENFORCE_CONTROL"], node["PUBLIC_URL"], node["MAX_CONNECTIONS"], worker["LEDGER_RETENTION_MONTHS"])
        check("what .env says reaches its service", reached == ("false", "https://watch.example.org", "20000", "0"), reached)
        env_file.write_text("")
        clean = {key: value for key, value in os.environ.items() if key not in variables}
        done = run(program, "--env-file", env_file, "config", "--quiet", env=clean)
        check("and without secrets it says what to do", done.returncode != 0 and "scripts/compose-secrets.sh" in done.stderr, done.stderr)
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copytree(ROOT / "scripts", f"{scratch}/scripts")
        first = run(f"{scratch}/scripts/compose-secrets.sh", "watch.example.org")
        file = pathlib.Path(scratch, ".env")
        content = file.read_text()
        have = dict(line.split("=", 1) for line in content.splitlines() if "=" in line and not line.startswith("#"))
        check("compose-secrets.sh makes every secret that compose needs, for its owner only",
              first.returncode == 0 and variables <= {key for key, value in have.items() if len(value) == 48} and stat.S_IMODE(file.stat().st_mode) == 0o600, have)  # fmt: skip
        second = run(f"{scratch}/scripts/compose-secrets.sh")
        check("and never changes one", second.returncode == 0 and file.read_text() == content)
        file.unlink()
        third = run(f"{scratch}/scripts/compose-secrets.sh", "--help")
        check("and takes no option for a name", third.returncode == 64 and "usage" in third.stderr and not file.exists(), third)
    coturn(whole)
    quiet = {"ADMIN": "127.0.0.1:9999", "BLUE": "127.0.0.1:4101", "GREEN": "127.0.0.1:4102"}
    tool("haproxy takes its file", "haproxy", "-c", "-f", "compose/haproxy.cfg", env={**os.environ, **quiet})
    with tempfile.TemporaryDirectory() as scratch:
        broken = pathlib.Path(scratch, "haproxy.cfg")
        broken.write_text((ROOT / "compose/haproxy.cfg").read_text().replace("option httpchk", "option htpchk"))
        check("and refuses a broken one", run("haproxy", "-c", "-f", broken, env={**os.environ, **quiet}).returncode != 0)
        home = {**os.environ, "XDG_DATA_HOME": scratch, "XDG_CONFIG_HOME": scratch}
        tool("caddy takes its file", "caddy", "validate", "--config", "compose/Caddyfile", "--adapter", "caddyfile", env=home)
        broken = pathlib.Path(scratch, "Caddyfile")
        broken.write_text((ROOT / "compose/Caddyfile").read_text().replace("health_uri", "health_url"))
        check("and refuses a broken one", run("caddy", "validate", "--config", broken, "--adapter", "caddyfile", env=home).returncode != 0)
    edge = run(ROOT / "tests/edge/run", env={**os.environ, "NODE_BINARY": BINARY})
    if pathlib.Path(BINARY).exists():
        for line in edge.stdout.splitlines():
            if line.startswith(("ok ", "FAILED ")):
                check(f"edge: {line[7:]}", line.startswith("ok"), edge.stdout[-1500:])
        check("edge: the whole story was told", re.search(r"^\d\d passed, 0 failed$", edge.stdout, re.M), edge.stderr)
    else:
        skip("the edge for real", f"there is no {BINARY}")


def coturn(whole):
    """The options, on the real program: it must come up and listen."""
    if not shutil.which("turnserver"):
        skip("coturn takes its options", "it is not installed")
        return
    kubernetes = next(doc for doc in yaml.safe_load_all((ROOT / "k8s/components/coturn/coturn.yaml").read_text()) if doc["kind"] == "Deployment")
    container = kubernetes["spec"]["template"]["spec"]["containers"][0]
    for name, options in (("compose", ["turnserver", *whole["services"]["coturn"]["command"]]), ("Kubernetes", container["command"] + container["args"])):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with tempfile.TemporaryDirectory() as scratch:
            stand_ins = {"TURN_SECRET": "hush", "TURN_SECRET_PREVIOUS": "before", "REALM": "localhost", "TURN_HOST": "localhost", "EXTERNAL_IP": "127.0.0.1", "TURN_EXTERNAL_IP": "127.0.0.1"}
            fill = lambda text: re.sub(r"\$[({](\w+)[^(){}]*[)}]", lambda match: stand_ins[match[1]], text)  # noqa: E731
            # Twice: one may stand in another.
            filled = [fill(fill(option)).replace("3478", str(port)).replace("/tmp/", f"{scratch}/") for option in options]
            log = open(f"{scratch}/log", "w+")
            server = subprocess.Popen([*filled, "--listening-ip=127.0.0.1", f"--pidfile={scratch}/pid", f"--userdb={scratch}/db"], stdout=log, stderr=log, cwd=scratch, env={**os.environ, **stand_ins})
            good = False
            for _ in range(300):
                with socket.socket() as probe:
                    good = probe.connect_ex(("127.0.0.1", port)) == 0
                if good or server.poll() is not None:
                    break
                time.sleep(0.1)
            told = pathlib.Path(f"/proc/{server.pid}/cmdline").read_bytes() if server.poll() is None else b""
            server.kill()
            server.wait()
            if name == "Kubernetes":
                check("coturn's secret is no argument", b"hush" not in told and pathlib.Path(scratch, "turnserver.conf").read_text() == "static-auth-secret=hush\nstatic-auth-secret=before\n", told)
            log.seek(0)
            said = log.read()
            wrong = re.findall(r".*(?:unrecognized|unknown option|invalid option|Wrong).*", said)
            check(f"coturn takes the options of {name}, and listens", good and not wrong, wrong or said[-800:])


def fingerprint(directory):
    digest = hashlib.sha256()
    for path in sorted(pathlib.Path(directory).rglob("*")):
        info = path.lstat()
        digest.update(f"{path.relative_to(directory)} {info.st_mode} {info.st_mtime}".encode())
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def dependencies(dockerfile):
    """The step that builds dependencies has only what was copied by then; cargo itself says whether that is a package."""
    with tempfile.TemporaryDirectory() as scratch:
        for line in re.findall(r"^COPY (?!--from)(.*)", dockerfile.split("RUN scripts/build-binary.sh dependencies")[0], re.M):
            *sources, target = line.split()
            for source in sources:
                to = pathlib.Path(scratch, target, pathlib.Path(source).name)
                to.parent.mkdir(parents=True, exist_ok=True)
                copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
                copy(ROOT / source, to)
        # Plans what a build would do, and builds nothing. Only a compiler of the nightly channel has that option, or one that is told to be one.
        programs = pathlib.Path(scratch, "programs")
        programs.mkdir()
        (programs / "cargo").write_text("#!/bin/sh\n")
        (programs / "cargo-auditable").write_text(f'#!/bin/sh\ncase "$1 $2" in "auditable build") RUSTC_BOOTSTRAP=1 exec {shutil.which("cargo")} build --release --offline --locked --package tandem --bin tandem --unit-graph -Zunstable-options ;; esac\n')
        for program in programs.iterdir():
            program.chmod(0o755)
        script = pathlib.Path(scratch, "scripts/build-binary.sh")
        text = script.read_text()
        script.write_text(text.replace("/usr/local/bin/cargo-auditable", f"{programs}/cargo-auditable"))
        check("the program that lists crates is found", script.read_text() != text)
        env = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
        done = run(f"{scratch}/scripts/build-binary.sh", "dependencies", env=env)
        check("dependencies can be built beside empty sources", done.returncode == 0, done.stderr)
        file = pathlib.Path(scratch, "Cargo.toml")
        file.write_text(file.read_text().replace('path = "benches/steps.rs"\n', ""))
        done = run(f"{scratch}/scripts/build-binary.sh", "dependencies", env=env)
        check("and a part whose file is not named is found", done.returncode != 0 and "steps" in done.stderr, done.stderr)


def own_layers(dockerfile):
    """A build argument is in the key of each step after it."""
    before, _, after = dockerfile.partition("RUN scripts/build-binary.sh tandem\n")
    return not re.search(r"^ARG (SOURCE_DATE_EPOCH|REVISION|VERSION)", before, re.M) and "ARG SOURCE_DATE_EPOCH" in after.split("RUN scripts/build-image-root.sh")[0]


def tried():
    """What tests/image/run has last been run with is what there is now."""
    after = inputs.now()
    stale = inputs.stale(inputs.noted(), after)
    check("what an image is made of and run by is what tests/image/run has tried", not stale, "; ".join(stale))
    check("and no part of it is tried with nothing", all(len(after[part]) > 3 for part in inputs.PARTS), after)
    other = {**after, "image": {**after["image"], "Dockerfile": "0"}, "pods": {name: digest for name, digest in after["pods"].items() if name != "scripts/deploy.sh"}}
    found = inputs.stale(other, after)
    check("what has changed since is named, with what to run", len(found) == 2 and "run image`" in found[0] and "Dockerfile has changed" in found[0] and "scripts/deploy.sh is new" in found[1], found)
    found = inputs.stale({**after, "compose": {}}, after)
    check("a part that was never tried is named, too", len(found) == 1 and "run compose`" in found[0] and "never" in found[0], found)
    known = inputs.crates()
    check("what the image is made from has its crates, and not those of tests", {"tandem", "tokio", "redis"} <= {crate.split()[0] for crate in known} and not {"proptest", "tempfile"} & {crate.split()[0] for crate in known}, known)


def image():
    section("Image")
    tool("hadolint has nothing against the Dockerfile", "hadolint", "Dockerfile")
    text = (ROOT / "Dockerfile").read_text()
    last = text.split("\nFROM ")[-1]
    check("it runs as nobody in particular, and says whether it lives", "USER 10001:10001" in last and 'HEALTHCHECK' in last and '"healthcheck"]' in last)
    check("compilers and the base are pinned", all(re.search(r":\d+\.\d+\.\d+", image) or image.startswith("scratch") for image in re.findall(r"^FROM (?:--\S+ )?(\S+)", text, re.M)))
    version = re.search(r'rust-version = "([\d.]+)"', (ROOT / "Cargo.toml").read_text())[1]
    check("the compiler is the one of Cargo.toml", f"rust:{version}." in text)
    check("a plain `docker stop`, which kills after 10 s, lets it drain", DRAIN_SECONDS["image"] + DRAIN_REST < 10, DRAIN_SECONDS)
    dependencies(text)
    check("the layers of compilers, dependencies and binary do not depend on the commit's time", own_layers(text), text)
    late = text.replace("ARG TARGETARCH\n", "ARG TARGETARCH\nARG SOURCE_DATE_EPOCH=0\n")
    check("and a Dockerfile where they do is found", not own_layers(late))
    tried()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = {word for line in re.findall(r"^COPY (?!--from)(.*)", text, re.M) for word in line.split()[:-1]}
    check("what is copied is not ignored", copied <= {line.removeprefix("!").split("/*")[0] for line in ignored if line.startswith("!")}, copied)
    needed = {match for path in (ROOT / "src").rglob("*.rs") for match in re.findall(r'include_(?:str|bytes|dir)!\("[./]*(?:\$CARGO_MANIFEST_DIR/)?(\w+)/', path.read_text().split("#[cfg(test)]")[0])}
    check("what the sources include is copied", needed <= copied | {"src"}, needed - copied)
    if not pathlib.Path(BINARY).exists() or not shutil.which("readelf"):
        skip("the image's files", f"there is no {BINARY}, or no readelf")
        return
    with tempfile.TemporaryDirectory() as scratch:
        # A debug build is larger than the one that is shipped, which tests/image weighs.
        small, larger = f"{scratch}/tandem", pathlib.Path(scratch, "build-image-root.sh")
        run("strip", "-o", small, BINARY)
        script = (ROOT / "scripts/build-image-root.sh").read_text()
        larger.write_text(script.replace("limit=$((40 *", "limit=$((80 *"))
        done = run("scripts/build-image-root.sh", BINARY, f"{scratch}/large")
        check("an image of more than 40 MiB is refused", done.returncode == 1 and "more than 40 MiB" in done.stderr, done.stderr)
        roots = [f"{scratch}/one", f"{scratch}/two"]
        for root in roots:
            done = run("bash", str(larger), small, root, env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"})
            if done.returncode:
                check("the image's files are laid out", False, done.stderr)
                return
        check("the image's files are laid out: " + done.stdout.strip().split(": ", 1)[1], True)
        check("and the same a second time, to the last bit", fingerprint(roots[0]) == fingerprint(roots[1]))
        names = {path.name for path in pathlib.Path(roots[0]).rglob("*")}
        check("there is no shell in it", not names & {"sh", "bash", "busybox", "dash"})
        if os.geteuid() == 0:
            done = run("chroot", "--userspec=10001:10001", roots[0], "/usr/local/bin/tandem", "config", env={"TANDEM_DATA_DIR": "/data", "PATH": os.environ["PATH"]})
            check("tandem runs in it, with nothing else there", done.returncode == 0 and "TANDEM_DATA_DIR=/data" in done.stdout, done.stderr)
            owners = pathlib.Path(roots[0] + "-data")
            check("the folder for data is laid out apart, for an owner of its own", [path.name for path in owners.iterdir()] == ["data"] and not pathlib.Path(roots[0], "data").exists())
            status = {path.name: path.read_text() for path in pathlib.Path(roots[0], "var/lib/dpkg/status.d").iterdir()}
            named = all(re.search(rf"^Package: {re.escape(name)}$", text, re.M) and re.search(r"^Version: \d", text, re.M) and not re.search("^ ", text, re.M) for name, text in status.items())
            check(f"scanners find {', '.join(sorted(status))}", {"libc6", "ca-certificates"} <= status.keys() and named, status)
        else:
            skip("tandem runs in it", "only root can chroot")
        script = pathlib.Path(scratch, "text")
        script.write_text("no program")
        check("what is no program is refused", run("scripts/build-image-root.sh", script, f"{scratch}/three").returncode != 0)
        done = run("bash", "-c", f"sed 's/limit=.*/limit=1024/' scripts/build-image-root.sh | bash -s {small} {scratch}/four")
        check("and so is what is too large", done.returncode == 1 and "more than" in done.stderr, done.stderr)


# ---- Scripts, pipeline ----

FAKE = r"""#!/usr/bin/env bash
# Stands in for a cluster: builds for real, writes down what it is told, answers from files.
printf '%s\n' "$*" >>"$FAKE/calls"
case " $* " in
*" kustomize "*) exec kubectl "$@" ;;
*" apply "*) cat >"$FAKE/applied" ;;
*"get service node"*tandem*) true ;;
*"get service node"*) cat "$FAKE/color" 2>/dev/null || true ;;
*"get deployment node-"*readyReplicas*) cat "$FAKE/ready" 2>/dev/null || true ;;
*"get deployment node-"*) cat "$FAKE/running" 2>/dev/null || true ;;
*"get job"*) cat "$FAKE/state" 2>/dev/null || true ;;
*"get deployment.apps/"*tandem-before*) cat "$FAKE/before" 2>/dev/null || true ;;
*"get deployment.apps/"*revision*) cat "$FAKE/revision" 2>/dev/null || echo 7 ;;
*"get service/node"*tandem-before*) cat "$FAKE/color-before" 2>/dev/null || true ;;
*"get service/node"*) cat "$FAKE/color" 2>/dev/null || true ;;
*"get deployment -o name"*) printf 'deployment.apps/node\ndeployment.apps/worker\n' ;;
*"get secret"*) [ -e "$FAKE/secret" ] ;;
*"get namespace"*) true ;;
*"create secret"*) for argument; do case $argument in --from-env-file=*) cat "${argument#*=}" >"$FAKE/secret" ;; esac; done ;;
esac
"""


FAKE_SECRETS = r"""#!/usr/bin/env bash
# Stands in for a cluster whose secret is changed: keeps the Secret in files, answers OK for Redis, and writes down what it is told.
all=$*
printf '%s\n' "$all" >>"$FAKE/calls"
case " $all " in
*"get secret tandem "*" name "*) echo secret/tandem ;;
*ownerReferences*) ;;
*"get secret tandem "*) key=${all##*.data.}; cat "$FAKE/data.${key%\}*}" 2>/dev/null | base64 -w 0 ;;
*"patch secret tandem "*)
    for file; do :; done
    file=${file#--patch-file=}
    grep -oE '"[A-Z_]+":("[^"]*"|null)' "$file" | while IFS=: read -r key value; do
        key=${key//\"/} value=${value//\"/}
        if [ "$value" = null ]; then rm -f "$FAKE/data.$key"; else base64 -d <<<"$value" >"$FAKE/data.$key"; fi
    done ;;
*"get pods "*) printf 'pod/redis-0\npod/redis-1\n' ;;
*containers*) echo "redis sentinel" ;;
*" exec -i "*) tee -a "$FAKE/said" | sed 's/.*/OK/' ;;
*" rollout restart node"*)
    echo "$(cat "$FAKE/data.TANDEM_SECRET" 2>/dev/null)|$(cat "$FAKE/data.TANDEM_SECRET_PREVIOUS" 2>/dev/null)" >>"$FAKE/rolled"
    if [ "$(wc -l <"$FAKE/rolled")" = "$(cat "$FAKE/stop" 2>/dev/null)" ]; then exit 1; fi ;;
*" get deployment "* | *" get statefulset "*) echo "${all##*component=}" | sed 's/ .*//' ;;
esac
"""


def tandem_secret():
    """Nodes with only one secret each would refuse each other's people: at every roll the old ones and the new ones have one in common."""
    with tempfile.TemporaryDirectory() as scratch:
        kubectl = pathlib.Path(scratch, "kubectl")
        kubectl.write_text(FAKE_SECRETS)
        kubectl.chmod(0o755)
        names = ("TANDEM_SECRET", "TANDEM_SECRET_PREVIOUS")

        def has():
            files = [pathlib.Path(scratch, f"data.{name}") for name in names]
            return tuple(file.read_text() if file.exists() else "" for file in files)

        def rotate(*more, stopped_at=0):
            pathlib.Path(scratch, "rolled").write_text("")
            pathlib.Path(scratch, "stop").write_text(str(stopped_at))
            done = run("scripts/rotate-secret-k8s.sh", "tandem", "TANDEM_SECRET", *more, env={**os.environ, "KUBECTL": str(kubectl), "FAKE": scratch})
            return done, [tuple((line + "|").split("|")[:2]) for line in pathlib.Path(scratch, "rolled").read_text().splitlines()]

        def share(steps):
            return all(set(one) & set(two) - {""} for one, two in zip(steps, steps[1:]))

        first = "a" * 48
        pathlib.Path(scratch, "data.TANDEM_SECRET").write_text(first)
        done, steps = rotate()
        new = has()[0]
        check("TANDEM_SECRET is announced, then used, and nodes always have one in common", done.returncode == 0 and steps == [(first, new), (new, first)] and share([(first, ""), *steps]) and new != first, (steps, done.stderr))
        done, steps = rotate()
        check("it is not changed again before the old one is forgotten", done.returncode == 1 and "--forget" in done.stderr and steps == [] and has() == (new, first), (steps, done.stderr))
        done, steps = rotate("--forget")
        check("which --forget does", done.returncode == 0 and steps == [(new, "")] and has() == (new, ""), (steps, done.stderr))
        before, wrong = (new, ""), []
        for stop in (1, 2):
            done, begun = rotate(stopped_at=stop)
            wrong += [f"stopped at {stop} it says that all is well"] if done.returncode == 0 else []
            done, rest = rotate()
            steps = [before, *begun, *rest]
            if done.returncode or has()[0] in ("", before[0]) or has()[1] != before[0] or not share(steps):
                wrong.append(f"stopped at {stop}: {steps}, {done.stderr}")
            rotate("--forget")
            before = has()
        check("stopped at any roll it goes on where it was", not wrong, wrong)
        calls = pathlib.Path(scratch, "calls").read_text()
        check("and only nodes were started anew, and no command line had a secret", "rollout restart node" in calls and "rollout restart worker" not in calls and not re.search("[0-9a-f]{48}", calls), calls[-800:])


def rotation():
    """In Kubernetes, on a stand-in (redis_shapes.py has it with a real Redis); tests/image/run changes secrets of compose for real."""
    with tempfile.TemporaryDirectory() as scratch:
        kubectl = pathlib.Path(scratch, "kubectl")
        kubectl.write_text(FAKE_SECRETS)
        kubectl.chmod(0o755)
        secret = pathlib.Path(scratch, "data.REDIS_PASSWORD")
        secret.write_text("the-old-one")
        done = run("scripts/rotate-secret-k8s.sh", "tandem", "REDIS_PASSWORD", env={**os.environ, "KUBECTL": str(kubectl), "FAKE": scratch})
        calls, said, new = pathlib.Path(scratch, "calls").read_text(), pathlib.Path(scratch, "said").read_text(), secret.read_text()
        order = [calls.find(word) for word in ("exec -i pod/redis-0", "exec -i pod/redis-1", "rollout restart worker", "rollout status worker", "rollout restart node", "rollout status node", "exec -i pod/redis-0")]
        order[-1] = calls.rfind("exec -i pod/redis-0")
        check("rotate-secret-k8s.sh tells every Redis and Sentinel, starts workers and nodes anew, and the old password is gone",
              done.returncode == 0 and -1 not in order and order == sorted(order) and said.count(f'ACL SETUSER default ">{new}"') == 2 and said.count(f'SENTINEL SET tandem auth-pass "{new}"') == 2 and said.count(f'ACL SETUSER default resetpass ">{new}"') == 2 and "rollout restart redis" not in calls, (done.stderr, calls, said))  # fmt: skip
        check("the Secret has the new password, and the command line never had one", len(new) == 48 and new not in calls and "the-old-one" not in calls and sorted(path.name for path in pathlib.Path(scratch).glob("data.*")) == ["data.REDIS_PASSWORD"], calls)
        # Stopped half-way, when the Secret was new already: it goes on with the same.
        secret.write_text("b" * 48)
        pathlib.Path(scratch, "data.REDIS_PASSWORD_PREVIOUS").write_text("a" * 48)
        pathlib.Path(scratch, "said").write_text("")
        done = run("scripts/rotate-secret-k8s.sh", "tandem", "REDIS_PASSWORD", env={**os.environ, "KUBECTL": str(kubectl), "FAKE": scratch})
        check("it goes on where it was stopped", done.returncode == 0 and secret.read_text() == "b" * 48 and 'default ">' not in pathlib.Path(scratch, "said").read_text() and "resetpass \">bbb" in pathlib.Path(scratch, "said").read_text(), done.stderr)
    tandem_secret()
    for script in ("rotate-secret.sh", "rotate-secret-k8s.sh"):
        done = run(f"scripts/{script}", "PATH")
        check(f"{script} says how it is used", done.returncode == 64 and "TURN_SECRET" in done.stderr and "set -" not in done.stderr, done.stderr)


def scripts():
    section("Scripts and pipeline")
    rotation()
    files = [path for path in git_files("compose", "scripts", "tests", "k8s", "test", ".ci") if pathlib.Path(path).is_file() and re.match(rb"#!.*\b(ba)?sh\b", pathlib.Path(path).read_bytes()[:40])]
    tool(f"shellcheck has nothing against {len(files)} scripts", "shellcheck", *files)
    with tempfile.TemporaryDirectory() as scratch:
        broken = pathlib.Path(scratch, "broken.sh")
        broken.write_text("#!/bin/sh\nrm -rf $1/*\n")
        check("shellcheck finds a broken one", run("shellcheck", broken).returncode != 0)
    check("all can be started", all(os.access(path, os.X_OK) for path in files if path.startswith("scripts/")))
    style = "{extends: default, rules: {line-length: disable, document-start: disable, braces: disable, comments: {min-spaces-from-content: 1}, truthy: {check-keys: false}, indentation: {indent-sequences: consistent}}}"
    files = git_files("*.yml", "*.yaml")
    tool(f"yamllint has nothing against {len(files)} files", "yamllint", "--strict", "-d", style, *files)
    workflows = git_files(".github/workflows")
    tool("the workflows are workflows", "check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)
    with tempfile.TemporaryDirectory() as scratch:
        broken = pathlib.Path(scratch, "broken.yml")
        broken.write_text(pathlib.Path(workflows[0]).read_text().replace("runs-on", "run-on"))
        check("a broken one is found", run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", broken).returncode != 0)
    bad = []
    for path in workflows:
        for used in re.findall(r"uses: (\S+)", pathlib.Path(path).read_text()):
            if not used.startswith("./") and not re.search(r"@[0-9a-f]{40}$", used):
                bad.append(f"{path}: {used}")
        for script in re.findall(r"(?<![\w/.])(?:scripts/[\w.-]+|\./test)", pathlib.Path(path).read_text()):
            if not os.access(script, os.X_OK):
                bad.append(f"{path}: there is no {script}")
    check("actions are pinned by commit, and every step's script is there", not bad, bad)

    pipeline(workflows)
    preflight()
    image = "registry.example.org/tandem:abc123@sha256:" + "0" * 64
    with tempfile.TemporaryDirectory() as scratch:
        kubectl = pathlib.Path(scratch, "kubectl")
        kubectl.write_text(FAKE)
        kubectl.chmod(0o755)
        env = {**os.environ, "KUBECTL": str(kubectl), "FAKE": scratch, "PREFLIGHT": "no"}

        def answer(**files):
            for old in ("calls", "applied", "color", "color-before", "before", "revision", "ready", "running", "state", "secret"):
                pathlib.Path(scratch, old).unlink(missing_ok=True)
            for name, content in files.items():
                pathlib.Path(scratch, name.replace("_", "-")).write_text(content)

        def told():
            return pathlib.Path(scratch, "calls").read_text()

        answer(state="Complete")
        done = run("scripts/deploy.sh", "staging", image, "migrate", env=env)
        applied = [doc for doc in yaml.safe_load_all(pathlib.Path(scratch, "applied").read_text()) if doc]
        used = {c["image"] for c in containers(applied) if "tandem" in c["image"]}
        check("deploy.sh migrates with the new image, and rolls nothing out",
              done.returncode == 0 and used == {image} and "notin (node,worker)" in told() and "create job migrate-" in told() and "--namespace tandem-staging" in told(), done.stderr)  # fmt: skip
        answer(state="Failed")
        done = run("scripts/deploy.sh", "staging", image, "migrate", env=env)
        check("a migration that fails stops it", done.returncode == 1 and "nothing was rolled out" in done.stderr, done.stderr)
        answer()
        done = run("scripts/deploy.sh", "prod", image, "rollout", env=env)
        applied = [doc for doc in yaml.safe_load_all(pathlib.Path(scratch, "applied").read_text()) if doc]
        used = {c["image"] for c in containers(applied) if "tandem" in c["image"]}
        check("deploy.sh rolls the new image out, and waits", done.returncode == 0 and used == {image} and told().count("rollout status") == 2, done.stderr)
        check("an image without a tag is refused", run("scripts/deploy.sh", "prod", "registry.example.org/tandem", "rollout", env=env).returncode == 64)
        check("and nothing stays behind", not list((ROOT / "overlays").glob(".release-*")))

        tree = pathlib.Path(scratch, "tree")
        for name in ("k8s", "overlays", "scripts"):
            shutil.copytree(ROOT / name, tree / name)
        file = tree / "overlays/staging/kustomization.yaml"
        overlay = yaml.safe_load(file.read_text())
        overlay["components"].insert(0, "../../k8s/components/bluegreen")
        overlay["images"] += [{"name": f"tandem-{color}", "newName": "ghcr.io/example/tandem", "newTag": "0.1.0"} for color in ("blue", "green")]
        file.write_text(yaml.safe_dump(overlay))
        answer(color="green", running="registry.example.org/tandem:old")
        done = run(tree / "scripts/deploy.sh", "staging", image, "rollout", env=env)
        applied = [doc for doc in yaml.safe_load_all(pathlib.Path(scratch, "applied").read_text()) if doc]
        by_name = {doc["metadata"]["name"]: doc for doc in applied if doc["kind"] == "Deployment"}
        colors = {color: by_name[f"node-{color}"]["spec"]["template"]["spec"]["containers"][0]["image"] for color in ("blue", "green")}
        service = next(doc for doc in applied if doc["kind"] == "Service" and doc["metadata"]["name"] == "node")
        check("with two colours only the one at rest gets the image",
              done.returncode == 0 and colors == {"blue": image, "green": "registry.example.org/tandem:old"} and service["spec"]["selector"]["color"] == "green", colors)  # fmt: skip
        answer(ready="2")
        done = run(tree / "scripts/switch-color-k8s.sh", "tandem-staging", "green", env=env)
        noted = (tree / "k8s/components/bluegreen/active-color.yaml").read_text()
        check("switch-color-k8s.sh turns the Service, and notes it", done.returncode == 0 and "patch service node" in told() and "color: green" in noted, done.stderr)
        answer(color="green", ready="2")
        done = run(tree / "scripts/rollback.sh", "tandem-staging", env=env)
        check("back is one command", done.returncode == 0 and '"color":"blue"' in told() and "rollout undo" in told(), done.stderr)
        answer(color="blue", color_before="blue", ready="2")
        done = run(tree / "scripts/rollback.sh", "tandem-staging", env=env)
        check("and where nothing was switched, nothing is switched back", done.returncode == 0 and "patch service" not in told() and "blue keeps them" in done.stdout, done.stdout + done.stderr)
        answer(ready="0")
        done = run(tree / "scripts/switch-color-k8s.sh", "tandem-staging", "green", env=env)
        check("a colour without a ready node is not switched to", done.returncode == 1 and "patch" not in told(), done.stderr)
        answer()
        done = run("scripts/rollback.sh", "tandem", env=env)
        check("rollback.sh undoes nodes and workers, and waits", done.returncode == 0 and told().count("rollout undo") == 2 and told().count("rollout status") == 2, done.stderr)
        answer(before="6", revision="7")
        done = run("scripts/rollback.sh", "tandem", env=env)
        check("it goes to the revision that ran before the rollout, and notes it", done.returncode == 0 and told().count("--to-revision=6") == 2 and told().count("tandem-before=7") == 2, told())
        answer(revision="1")
        done = run("scripts/rollback.sh", "tandem", env=env)
        check("the first release has nothing to go back to, and that is said", done.returncode == 0 and "rollout undo" not in told() and "nothing to go back to" in done.stdout, done.stdout + done.stderr)
        answer(before="7", revision="7")
        done = run("scripts/rollback.sh", "tandem", env=env)
        check("a rollout that changed nothing is not undone: that would be the release before it", done.returncode == 0 and "rollout undo" not in told(), told())
        answer()
        done = run("scripts/deploy.sh", "prod", image, "rollout", env=env)
        lines = told().splitlines()
        noted = [i for i, line in enumerate(lines) if "annotate" in line and "tandem-before=7" in line]
        check("deploy.sh notes what to go back to, before it applies", len(noted) == 2 and max(noted) < next(i for i, line in enumerate(lines) if line.startswith("apply")), lines)
        answer()
        done = run("scripts/k8s-secrets.sh", "tandem", env=env)
        made = dict(line.split("=") for line in pathlib.Path(scratch, "secret").read_text().split())
        check("k8s-secrets.sh makes every key, and tells none to the command line",
              done.returncode == 0 and set(made) == rules.SECRET_KEYS and all(len(value) == 48 for value in made.values()) and not any(value in told() for value in made.values()), done.stderr)  # fmt: skip
        before = made
        done = run("scripts/k8s-secrets.sh", "tandem", env=env)
        check("and never changes one", done.returncode == 0 and dict(line.split("=") for line in pathlib.Path(scratch, "secret").read_text().split()) == before)


FAKE_API = r"""#!/usr/bin/env python3
# Stands in for an API server that preflight asks: what it has is in $FAKE/api, as JSON.
import json, os, pathlib, sys
arguments = sys.argv[1:]
if arguments[0] in ("kustomize", "annotate"):
    os.execvp("kubectl", ["kubectl", *arguments])
api = json.loads(pathlib.Path(os.environ["FAKE"], "api").read_text())
words = " ".join(arguments)
if arguments[0] == "version":
    print(json.dumps({"clientVersion": {"minor": api["client"], "gitVersion": "v1." + api["client"]}, "serverVersion": {"minor": api["server"], "gitVersion": "v1." + api["server"]}}))
elif arguments[:2] == ["get", "--raw"]:
    group = arguments[2].split("/", 2)[2]
    if group not in api["groups"]: sys.exit("not found")
    print(json.dumps({"versions": [1], "resources": [{"kind": kind, "name": kind.lower() + "s"} for kind in api["groups"][group]]}))
elif arguments[0] == "create":
    for one in json.load(sys.stdin)["items"]:
        about = one["spec"]["resourceAttributes"]
        print(json.dumps({**one, "status": {"allowed": about["resource"] not in api["refused"]}}))
else:
    what = arguments[arguments.index("get") + 1]
    if what in api["hidden"]: sys.exit("Error: nodes is forbidden: User may not (Forbidden)")
    print(json.dumps({"kind": "List", "items": api["objects"].get(what, [])}))
"""

NODE = {"metadata": {"name": "m"}, "spec": {}, "status": {"conditions": [{"type": "Ready", "status": "True"}], "allocatable": {"cpu": "4", "memory": "16Gi", "pods": "110"}}}


def machine(name, **spec):
    return {**NODE, "metadata": {"name": name}, "spec": spec}


def preflight():
    """scripts/preflight against an API server that has what prod needs, and then one thing less each time."""
    with tempfile.TemporaryDirectory() as scratch:
        kubectl = pathlib.Path(scratch, "kubectl-api")
        kubectl.write_text(FAKE_API)
        kubectl.chmod(0o755)
        groups = {}
        for doc in yaml.safe_load_all(run("kubectl", "kustomize", "overlays/prod").stdout):
            groups.setdefault(doc["apiVersion"], []).append(doc["kind"])
        redis = {"kind": "StatefulSet", "metadata": {"name": "redis", "labels": {}}, "spec": {"template": {"spec": {"containers": [{"name": "redis"}]}}, "serviceName": "redis-headless", "podManagementPolicy": "Parallel"}}
        prod = next(doc for doc in yaml.safe_load_all(run("kubectl", "kustomize", "overlays/prod").stdout) if doc["kind"] == "StatefulSet" and doc["metadata"]["name"] == "redis")
        usual = {
            "client": "34", "server": "36", "groups": {**groups, "metrics.k8s.io": []}, "refused": [], "hidden": [],
            "objects": {
                "secret": [{"kind": "Secret", "metadata": {"name": "tandem"}, "data": dict.fromkeys(rules.SECRET_KEYS, "eA==")}],
                "storageclass": [{"kind": "StorageClass", "metadata": {"name": "x", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}}],
                "nodes": [machine("a"), machine("b"), machine("c")],
                "namespace": [{"kind": "Namespace", "metadata": {"name": "tandem"}}],
            },
        }  # fmt: skip

        def tell(**more):
            pathlib.Path(scratch, "api").write_text(json.dumps({**usual, **more}))
            return run("scripts/preflight", "prod", env={**os.environ, "KUBECTL": str(kubectl), "FAKE": scratch})

        def having(**objects):
            return {"objects": {**usual["objects"], **objects}}

        done = tell()
        check("preflight has nothing against a cluster that has all", done.returncode == 0 and "WRONG" not in done.stdout, done.stdout + done.stderr)
        secret = {"kind": "Secret", "metadata": {"name": "tandem"}, "data": {"TANDEM_SECRET": "eA=="}}
        live = {**redis, "spec": {**redis["spec"], "selector": prod["spec"]["selector"], "volumeClaimTemplates": prod["spec"]["volumeClaimTemplates"]}}
        other = {"kind": "Deployment", "metadata": {"name": "node-blue", "labels": {"app.kubernetes.io/component": "node"}}, "spec": {}}
        for name, words, more in (
            ("an old server", "oldest that works", {"server": "26"}),
            ("an old kubectl", "oldest that works", {"client": "26+"}),
            ("a kind that is missing", "has no HorizontalPodAutoscaler", {"groups": {key: value for key, value in groups.items() if key != "autoscaling/v2"}}),
            ("a permission that is missing", "may not get, create, patch resourcequotas", {"refused": ["resourcequotas"]}),
            ("a right of its scripts that is missing", "may not patch deployments.apps/scale", {"refused": ["deployments"]}),
            ("no Secret", "there is no Secret tandem", having(secret=[])),
            ("a Secret with too little in it", "has no POSTGRES_PASSWORD, REDIS_PASSWORD", having(secret=[secret])),
            ("no storage class", "no storage class is the default", having(storageclass=[])),
            ("two machines", "takes the majority", having(nodes=[machine("a"), machine("b")])),
            ("a third one that is cordoned", "takes the majority", having(nodes=[machine("a"), machine("b"), machine("c", unschedulable=True)])),
            ("a third one that is tainted", "takes the majority", having(nodes=[machine("a"), machine("b"), machine("c", taints=[{"effect": "NoSchedule"}])])),
            ("machines that are full", "finds none", having(pods=[{"kind": "Pod", "metadata": {"name": "x", "namespace": "other"}, "status": {"phase": "Running"}, "spec": {"nodeName": n, "containers": [{"resources": {"requests": {"cpu": "7"}}}]}} for n in "abc"])),
            ("another Redis", "Redis is single, and the overlay has sentinel", {**having(**{"deployments,statefulsets": [live]})}),
            ("a StatefulSet that no apply can change", "has another podManagementPolicy", {**having(**{"deployments,statefulsets": [{**live, "spec": {key: value for key, value in live["spec"].items() if key != "podManagementPolicy"}}]})}),
            ("another shape of nodes", "Deployment/node-blue runs, and the overlay does not have it", having(**{"deployments,statefulsets": [other]})),
        ):
            done = tell(**more)
            check(f"preflight finds {name}", done.returncode == 1 and words in done.stdout, done.stdout + done.stderr)
        check("and that a machine of so few cannot be drained at once", "so does the drain" in tell().stdout, "it was not said")
        check("but not where there is room", "so does the drain" not in tell(**having(nodes=[machine(name) for name in "abcdef"])).stdout, "it was said")
        done = tell(hidden=["nodes", "storageclass", "secret"])
        check("what it may not look at is a note", done.returncode == 0 and done.stdout.count("may not look") == 3, done.stdout + done.stderr)


SCANNERS = r"\b(?:trivy|syft|grype)\b"


def pipeline_problems(workflows, script):
    """`workflows`: path -> text. What other people's programs may do there."""
    for path, text in workflows.items():
        for name, job in yaml.safe_load(text)["jobs"].items():
            steps = [str(step.get("run", "")) for step in job.get("steps", [])]
            runs_scanner = any(re.search(rf"{SCANNERS}|image\.sh (?:scan|sbom)", step) for step in steps)
            if runs_scanner and "write" in job.get("permissions", {}).values():
                yield f"{path}: {name} runs a scanner, and may write"
            if job.get("permissions") is None and yaml.safe_load(text).get("permissions") != {}:
                yield f"{path}: {name} may do what the repository's settings say"
            if job.get("container") and any("./test" in step for step in steps) and not any("safe.directory" in step for step in steps):
                yield f"{path}: git refuses the checkout in the container of {name}"
            if any("./test" in step or "cargo" in step for step in steps) and not any("actions/cache@" in str(step.get("uses")) for step in job["steps"]):
                yield f"{path}: {name} builds every crate every time"
        for line in text.splitlines():
            if "buildx create" in line and not re.search(r"image=\S+@sha256:[0-9a-f]{64}", line):
                yield f"{path}: what builds is by a tag that can be moved"
        if "docker.sock" in text:
            yield f"{path}: docker's socket is handed on"
    if "docker.sock" in script:
        yield "image.sh: docker's socket is handed on"
    for name, image in re.findall(r"^(\w+)=([\w.-]+(?:/[\w.-]+)+:\S+)$", script, re.M):
        if not re.search(r"@sha256:[0-9a-f]{64}$", image):
            yield f"image.sh: {name} is by a tag that can be moved"


def pipeline(workflows):
    texts, script = {path: pathlib.Path(path).read_text() for path in workflows}, (ROOT / "scripts/image.sh").read_text()
    check("scanners are pinned, see a file and may write nowhere; git may look; crates are kept", not list(pipeline_problems(texts, script)), list(pipeline_problems(texts, script)))
    test, deploy = ".github/workflows/test.yml", ".github/workflows/deploy.yml"
    for name, path, old, new in (
        ("a scanner in the job that may push", deploy, "          scripts/image.sh push", "          scripts/image.sh scan\n          scripts/image.sh push"),
        ("docker's socket in a job", deploy, "run: scripts/image.sh sbom", "run: docker run -v /var/run/docker.sock:/var/run/docker.sock x"),
        ("a builder by tag", deploy, "moby/buildkit:v0.31.2@", "moby/buildkit:buildx-stable-1 #"),
        ("a checkout that git refuses", test, "safe.directory", "core.pager"),
        ("no cache", test, "actions/cache@", "actions/catch@"),
    ):
        assert old in texts[path], old
        check(f"the pipeline's check finds {name}", bool(list(pipeline_problems({**texts, path: texts[path].replace(old, new)}, script))), "it was let through")
    check("the pipeline's check finds a scanner by tag", bool(list(pipeline_problems(texts, re.sub(r"@sha256:\w+", "", script, count=1)))), "it was let through")
    parts = re.search(r"part: \[(.*)\]", texts[test])[1].split(", ")
    known = set(re.search(r"case \$part in ([^)]*)\)", (ROOT / "test").read_text())[1].split(" | ")) - {"all", "quick"}
    check("the pipeline runs each part of ./test", set(parts) == known, f"{parts} {known}")
    check("./test takes no part that there is not", run("./test", "everything").returncode == 64)

    with tempfile.TemporaryDirectory() as scratch:
        # What runs is written down; an SBOM comes from a file.
        docker = pathlib.Path(scratch, "docker")
        docker.write_text('#!/usr/bin/env bash\nprintf "%s\\n" "$*" >>"$FAKE/calls"\ncase " $* " in *" spdx-json="*) cp "$FAKE/sbom" out/sbom.spdx.json ;; *" inspect "*) echo 1048576 ;; esac\n')
        docker.chmod(0o755)
        tree = pathlib.Path(scratch, "tree")
        for path in ("scripts/image.sh", "Cargo.toml", "Cargo.lock"):
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, tree / path)
        run("git", "init", "--quiet", tree)
        run("git", "-C", tree, "-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "--quiet", "--allow-empty", "-m", "x")
        env = {**os.environ, "PATH": f"{scratch}:{os.environ['PATH']}", "FAKE": scratch, "IMAGE": "ghcr.io/Some-Body/Tandem", "HOME": scratch}
        done = run(tree / "scripts/image.sh", "build", env=env)
        told = pathlib.Path(scratch, "calls").read_text()
        check("the image of an account with capital letters has a name that registries take", done.returncode == 0 and "ghcr.io/some-body/tandem:" in told and "Some-Body" not in told, done.stderr)

        def package(kind):
            return {"externalRefs": [{"referenceLocator": f"pkg:{kind}/x"}]}

        for name, packages, code in (("nothing", [], 1), ("no crate", [package("deb")] * 9, 1), ("no package", [package("cargo")] * 99, 1), ("both", [package("deb"), *[package("cargo")] * 99], 0)):
            pathlib.Path(scratch, "sbom").write_text(json.dumps({"packages": packages}))
            done = run(tree / "scripts/image.sh", "sbom", env=env)
            check(f"an SBOM in which the scanner saw {name} is {'taken' if code == 0 else 'refused'}", done.returncode == code, done.stdout + done.stderr)
        if os.geteuid() == 0:
            # As in the pipeline: the checkout is somebody else's, the steps are root's.
            run("chown", "-R", "12345", tree)
            bare = {"PATH": os.environ["PATH"], "HOME": scratch, "GITHUB_WORKSPACE": str(tree)}
            refused = run("git", "-C", tree, "ls-files", env=bare)
            steps = [step["run"] for step in yaml.safe_load(texts[test])["jobs"]["test"]["steps"] if "run" in step and "./test" not in step["run"]]
            for step in steps:
                run("sh", "-e", "-c", step, env=bare, cwd=tree)
            after = run("git", "-C", tree, "log", "--oneline", env=bare)
            check("git refuses a checkout of somebody else, until the pipeline's steps have run", refused.returncode != 0 and "dubious" in refused.stderr and after.returncode == 0, refused.stderr + after.stderr)
            again = run(tree / "scripts/image.sh", "build", env={**env, "HOME": "/nonexistent"})
            check("image.sh does not mind whose the checkout is", again.returncode == 0, again.stderr)
        else:
            skip("a checkout of somebody else", "only root can make one")


def containers(docs):
    build = manifests.Built("", "", [], docs)
    return [container for _, _, container in build.containers()]


def redis():
    section("Redis as the components start it")
    if os.geteuid() != 0 or not all(shutil.which(name) for name in ("redis-server", "redis-sentinel", "unshare", "ip")):
        skip("Sentinel and Cluster", "that needs root, redis and iproute2")
        return
    if run("unshare", "--net", "--mount", "true").returncode:
        skip("Sentinel and Cluster", "no network of one's own may be made here")
        return
    done = run("unshare", "--net", "--mount", sys.executable, "tests/deploy/redis_shapes.py")
    for line in done.stdout.splitlines():
        if line.startswith(("ok ", "FAILED ")):
            check(line[7:], line.startswith("ok"), done.stdout[-3000:])
    check("the whole story was told", done.returncode == 0, done.stderr[-1500:])


def words():
    section("Documents")
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]):
        text = path.read_text()
        links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
        paths = re.findall(r"`((?:scripts|k8s|overlays|compose|tests|monitoring|\.github)/[\w./-]*\w)`?", text)
        bad = sorted({link for link in links if not (path.parent / link).exists()} | {named for named in paths if not (ROOT / named).exists()})
        check(f"every file that {path.relative_to(ROOT)} names is there", not bad, bad)
    docs = (ROOT / "docs/deployment.md").read_text()
    bad = [name for name in manifests.COMPONENTS if f"`{name}`" not in docs]
    check("docs/deployment.md names every component", not bad, bad)


def prometheus():
    section("Prometheus")
    scrape.tell(check, skip, BINARY)


def data():
    section("Database")
    database.tell(check, skip)


def cluster():
    section("A real API server")
    if not os.environ.get("KUBECONFIG"):
        skip("the overlays on a real API server", "KUBECONFIG is not set")
        return
    process = subprocess.Popen([sys.executable, "-u", "tests/deploy/cluster.py"], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith(("ok ", "FAILED ")):
            check(line[7:].strip(), line.startswith("ok"), "see above")
        else:
            print(line, end="", flush=True)
    if process.wait() == 69:
        skip("the overlays on a real API server", "as said above")
        return
    check("the whole story was told", process.returncode == 0)


PARTS = {"kubernetes": kubernetes, "monitoring": monitoring, "compose": compose, "image": image, "scripts": scripts, "redis": redis, "prometheus": prometheus, "data": data, "cluster": cluster, "words": words}
for part in sys.argv[1:] or PARTS:
    PARTS[part]()
if skipped:
    print(f"\n{skipped} skipped, as said above")
print(f"\n{passed} passed, {failed} failed")
sys.exit(1 if failed else 0)
