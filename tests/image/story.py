"""The image, run; tests/image/run builds it and starts this in a network namespace of its own."""

import concurrent.futures
import json
import os
import pathlib
import platform
import re
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zlib

import inputs
import pods
import stand_ins
from crowd import smoke
from engine import Engine, Project
from stand_ins import ROOT

DIRECTORY = ROOT / "target/image"
VENV = ROOT / "target/deploy-venv"
IMAGE = "tandem:local"
passed = failed = 0
started = time.monotonic()


def check(name, good, detail=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    print(f"{'ok    ' if good else 'FAILED'} {name}{'' if good else f': {str(detail)[:3000]}'}", flush=True)
    return good


def section(name):
    print(f"\n-- {name} (at {time.monotonic() - started:.0f} s)", flush=True)


def wait(until, seconds=120):
    """Whether it came to be; looked at ten times a second."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if until():
            return True
        time.sleep(0.1)
    return False


def get(url):
    """Status and body; any certificate is taken."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(url, timeout=5, context=context) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


# ---- The image by itself ----


def scanners(engine):
    """What a scanner reads: packages of Debian, and crates in the binary."""
    with tempfile.TemporaryDirectory() as scratch:
        container = engine.docker("create", IMAGE)
        engine.docker("cp", f"{container}:/var/lib/dpkg/status.d", f"{scratch}/packages")
        engine.docker("cp", f"{container}:/usr/local/bin/tandem", f"{scratch}/tandem")
        engine.docker("cp", f"{container}:/etc/os-release", f"{scratch}/os-release")
        engine.docker("rm", container)
        packages = {path.name: path.read_text() for path in pathlib.Path(scratch, "packages").iterdir()}
        good = {"libc6", "ca-certificates"} <= packages.keys() and all(re.search(r"^Package: .+", text, re.M) and re.search(r"^Version: .+", text, re.M) for text in packages.values())
        check(f"its packages say which they are: {', '.join(sorted(packages))}", good, packages)
        check("and of which Debian", "VERSION_ID=" in pathlib.Path(scratch, "os-release").read_text())
        subprocess.run(["objcopy", "-O", "binary", "--only-section=.dep-v0", "--set-section-flags", ".dep-v0=alloc", f"{scratch}/tandem", f"{scratch}/crates"], check=True)
        packed = pathlib.Path(scratch, "crates").read_bytes()
        crates = {crate["name"] for crate in json.loads(zlib.decompress(packed))["packages"]} if packed else set()
        check(f"the binary names its {len(crates)} crates", {"tandem", "tokio", "redis", "rustls"} <= crates, crates)
        profiled(f"{scratch}/tandem")


def profiled(binary):
    """The compiler finds a function in the profile by its name, and says nothing of one that it does not find."""
    profile = ROOT / "pgo/x86_64-unknown-linux-gnu.profdata"
    if platform.machine() != "x86_64":
        return
    sysroot = subprocess.run(["rustc", "--print", "sysroot"], cwd=ROOT, text=True, capture_output=True, check=True).stdout.strip()
    tool = pathlib.Path(sysroot, "lib/rustlib/x86_64-unknown-linux-gnu/bin/llvm-profdata")
    if not tool.exists():
        check("the profile can be read: rustup component add llvm-tools", False)
        return
    listed = subprocess.run([tool, "show", "--all-functions", profile], text=True, capture_output=True, check=True).stdout
    known = {name.split(";")[-1] for name in re.findall(r"^  (\S+):$", listed, re.M)}
    symbols = subprocess.run(["nm", binary], text=True, capture_output=True, check=True).stdout
    own = {line.split()[-1] for line in symbols.splitlines() if " _ZN6tandem" in line}
    check(f"the compiler knew how {len(own & known)} of its {len(own)} functions are used", len(own & known) > len(own) / 2)


def image(engine):
    section("The image by itself")
    done = engine.try_docker("run", "--rm", IMAGE, "--help")
    check("--help helps", done.returncode == 0 and "Usage" in done.stdout, done.stdout + done.stderr)
    size = int(engine.docker("image", "inspect", "--format", "{{.Size}}", IMAGE))
    check(f"it has {size / 2**20:.1f} MiB", size < 40 * 2**20)
    scanners(engine)
    engine.docker("run", "--detach", "--name", "alone", "--read-only", "--memory", "256m", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", IMAGE)
    good = wait(lambda: engine.health("alone") == "healthy", 60)
    check("read-only, in 256 MB and without any right it becomes healthy", good, engine.try_docker("logs", "alone").stderr)
    users = [line.split()[1] for line in engine.docker("top", "alone", "-eo", "pid,uid").splitlines()[1:]]
    check("as user 10001", users == ["10001"], users)
    volume = next(mount for mount in engine.inspect("alone", ".Mounts") if mount["Destination"] == "/data")["Source"]
    check("its ledger is in its volume", (pathlib.Path(volume) / "tandem.db").exists(), os.listdir(volume))
    address = engine.inspect("alone", ".NetworkSettings.Networks.bridge.IPAddress")
    people = []
    for number in range(120):
        people.append(smoke.Socket(f"ws://{address}:4001/ws"))
        people[-1].join(f"room-{number}", "ana")
    begun = time.monotonic()
    stopping = subprocess.Popen(["docker", "stop", "alone"], env=engine.env, stdout=subprocess.DEVNULL)
    codes = set()
    for one in people:
        try:
            one.until("SERVER_DRAINING", 15)
            while True:
                one.receive(15)
        except smoke.Closed as closed:
            codes.add(closed.code)
    stopping.wait()
    took = time.monotonic() - begun
    code = engine.inspect("alone", ".State.ExitCode")
    last = engine.try_docker("logs", "alone").stdout.strip().splitlines()[-1:]
    check(f"a plain `docker stop` lets it drain: all are told, closed with 1012, and it ends with 0 ({took:.1f} s)", codes == {1012} and code == 0 and '"forced":0' in last[0], (codes, code, last))
    engine.docker("start", "alone")
    check("and it starts again on what it left", wait(lambda: engine.health("alone") == "healthy", 60), engine.try_docker("logs", "--tail", "5", "alone").stdout)
    engine.docker("rm", "--force", "--volumes", "alone")


# ---- Compose ----


class Crowd:
    """People who talk through the edge, all the while."""

    def __init__(self, rooms, members):
        self.log = open(DIRECTORY / "crowd.log", "w+")
        self.process = subprocess.Popen([sys.executable, "-B", ROOT / "tests/image/crowd.py", "wss://localhost/ws", str(rooms), str(members)], stdin=subprocess.PIPE, stdout=self.log, stderr=self.log, text=True)
        self.all_in = wait(lambda: "all are in" in (DIRECTORY / "crowd.log").read_text())

    def end(self):
        self.process.stdin.close()
        self.process.wait(120)
        lines = (DIRECTORY / "crowd.log").read_text().splitlines()
        return json.loads(lines[-1])


def healthy(project, **services):
    good = wait(lambda: all(project.healthy(service.replace("_", "-"), count) for service, count in services.items()), 180)
    what = ", ".join(f"{count} {service.replace('_', '-')}" for service, count in services.items())
    return check(f"healthy: {what}", good, "" if good else project.compose("--profile", "*", "ps", "--all") + project.compose("--profile", "*", "logs", "--tail", "5"))


def prometheus(project):
    project.compose("--profile", "monitoring", "up", "--detach", "--no-build", "--pull", "never", "prometheus")

    def targets():
        status, body = get("http://127.0.0.1:9090/api/v1/targets?state=active")
        return [(target["labels"]["job"], target["health"], target["lastError"]) for target in json.loads(body)["data"]["activeTargets"]] if status == 200 else []

    wanted = [("tandem-node", "up", "")] * 2 + [("tandem-worker", "up", "")]
    check("Prometheus sees two nodes and the worker, and all are up", wait(lambda: sorted(targets()) == wanted), targets())


def rotation(project, name):
    before = {service: project.engine.inspect(project.names(service)[0], ".State.StartedAt") for service in ("redis", "postgres", "edge")}
    old = project.setting(name)
    done = project.run("scripts/rotate-secret.sh", name)
    good = done.returncode == 0 and project.setting(name) not in (None, old) and project.setting("ROTATING") is None
    check(f"{name} is changed by rotate-secret.sh", good, done.stderr)
    after = {service: project.engine.inspect(project.names(service)[0], ".State.StartedAt") for service in before}
    check("and Redis, PostgreSQL and the edge were not touched by it", before == after, (before, after))
    healthy(project, node=2, worker=1)
    return old


def secrets(project):
    """TANDEM_SECRET and TANDEM_SECRET_PREVIOUS, as each node has them."""
    settings = [dict(line.split("=", 1) for line in project.engine.inspect(name, ".Config.Env")) for name in project.names("node")]
    return {(one["TANDEM_SECRET"], one["TANDEM_SECRET_PREVIOUS"]) for one in settings}


def rotations(project):
    old = rotation(project, "REDIS_PASSWORD")

    def redis(password):
        return project.run(project.engine.compose_program, "exec", "-T", "redis", "redis-cli", input=f"AUTH {password}\nPING\n").stdout

    check("Redis takes the new password, and no longer the old one", "PONG" in redis(project.setting("REDIS_PASSWORD")) and "WRONGPASS" in redis(old), redis(old))
    project.compose("restart", "redis")
    healthy(project, redis=1)
    check("and the same after a restart", "PONG" in redis(project.setting("REDIS_PASSWORD")) and "WRONGPASS" in redis(old), redis(old))
    old = rotation(project, "POSTGRES_PASSWORD")

    def postgres(password):
        return project.run(project.engine.compose_program, "exec", "-T", "-e", f"PGPASSWORD={password}", "postgres", "psql", "-h", "postgres", "-U", "tandem", "-Atc", "SELECT 1").stdout.strip()

    check("PostgreSQL takes the new password, and no longer the old one", (postgres(project.setting("POSTGRES_PASSWORD")), postgres(old)) == ("1", ""))
    old = rotation(project, "TURN_SECRET")
    command = project.engine.inspect(project.names("coturn")[0], ".Config.Cmd")
    check("coturn takes both secrets", {f"--static-auth-secret={old}", f"--static-auth-secret={project.setting('TURN_SECRET')}"} <= set(command), command)
    done = project.run("scripts/rotate-secret.sh", "TURN_SECRET", "--forget")
    command = project.engine.inspect(project.names("coturn")[0], ".Config.Cmd")
    check("until the old one is forgotten", done.returncode == 0 and f"--static-auth-secret={old}" not in command, done.stderr)
    old = rotation(project, "TANDEM_SECRET")
    check("nodes make everything with the new one, and still take what was made with the old one", secrets(project) == {(project.setting("TANDEM_SECRET"), old)}, secrets(project))
    done = project.run("scripts/rotate-secret.sh", "TANDEM_SECRET")
    check("which is not changed again before the old one is forgotten", done.returncode == 1 and "--forget" in done.stderr and secrets(project) == {(project.setting("TANDEM_SECRET"), old)}, done.stderr)
    done = project.run("scripts/rotate-secret.sh", "TANDEM_SECRET", "--forget")
    healthy(project, node=2)
    check("until then", done.returncode == 0 and secrets(project) == {(project.setting("TANDEM_SECRET"), "")}, done.stderr)
    services = ("edge", "redis", "postgres", "coturn", "node", "worker")
    before = [project.engine.inspect(name, ".State.StartedAt") for service in services for name in project.names(service)]
    project.compose("up", "--detach", "--no-build", "--pull", "never", "--scale", "node=2")
    after = [project.engine.inspect(name, ".State.StartedAt") for service in services for name in project.names(service)]
    check("a later `up` starts nothing anew for it", before == after, (before, after))


def switch(project, to):
    return project.run("scripts/switch-color.sh", to, env={"HAPROXY": f"{project.engine.compose_program} exec -T haproxy"})


def two_colors(project):
    project.set(NODES="haproxy:8080")
    # As docs/deployment.md says.
    project.compose("--profile", "bluegreen", "up", "--detach", "--no-build", "--pull", "never", "--scale", "node=0")
    healthy(project, haproxy=1, node_blue=1, node_green=1, edge=1)
    wait(lambda: "1 up" in switch(project, "status").stdout)
    check("there is no node without a colour", project.names("node") == [])
    done = project.run(project.engine.compose_program, "--profile", "bluegreen", "up", "--detach", "--no-build", "--pull", "never", "--no-deps", "node-green")
    check("the next release comes up in one colour alone", done.returncode == 0, done.stderr)
    wait(lambda: re.search(r"green +1 up", switch(project, "status").stdout))
    done = switch(project, "green")
    check("green is switched to", done.returncode == 0 and re.search(r"green +1 up, weight 100", done.stdout), done.stdout + done.stderr)
    project.compose("--profile", "bluegreen", "stop", "node-blue")
    done = switch(project, "blue")
    check("blue, which was stopped a moment ago, is not switched to", done.returncode == 1 and "nothing is switched" in done.stderr, done.stdout + done.stderr)
    check("and people are served", get("https://localhost/health")[0] == 200)
    project.compose("--profile", "bluegreen", "start", "node-blue")
    healthy(project, node_blue=1)
    wait(lambda: re.search(r"blue +1 up", switch(project, "status").stdout))
    done = switch(project, "blue")
    check("back to blue, when it is there again", done.returncode == 0, done.stderr)


def edge(project):
    """More sockets than 128 MB of edge would live through."""
    name = project.names("edge")[0]
    people, count = [], min(2000, project.engine.files // 4)

    def all_alive():
        for number, one in enumerate(people):
            one.send(type="PING", t0=number)
        return sum(one.until("PONG", 30)["t0"] == number for number, one in enumerate(people)) == len(people)

    def come(number):
        for _ in range(10):
            try:
                one = smoke.Socket("wss://localhost/ws", 30, True)
                one.join(f"edge-{number}", "ana")
                return one
            except (smoke.Refused, smoke.Closed):
                # A node that was slow to say that it is ready is left alone for a moment.
                time.sleep(1)
        raise RuntimeError(f"socket {number} was refused ten times")

    good = True
    try:
        with concurrent.futures.ThreadPoolExecutor(50) as pool:
            looked = time.monotonic()
            while good and len(people) < count:
                people += pool.map(come, range(len(people), len(people) + 50))
                # A node lets go of those who answer no ping for 40 s, and they answer only when they are looked at.
                if time.monotonic() - looked > 5 or len(people) >= count:
                    good, looked = all_alive(), time.monotonic()
    except (OSError, smoke.Closed, smoke.Refused, TimeoutError, RuntimeError) as error:
        good = repr(error)
    used = int(pathlib.Path(f"/proc/{project.engine.inspect(name, '.State.Pid')}/status").read_text().split("VmRSS:")[1].split()[0]) // 1024
    killed = project.engine.inspect(name, ".RestartCount") or project.engine.inspect(name, ".State.OOMKilled")
    check(f"the edge holds {len(people)} sockets in {used} MiB", good is True and not killed, (good, killed))
    for one in people:
        one.raw.close()


def logs(project):
    """PINs and tokens that went through both proxies are in none of their logs."""
    get("https://localhost/room/ABCDEF/424242?pin=434343&token=454545")
    get("https://localhost/?tandemRoom=x&pin=464646")
    said = project.compose("--profile", "*", "logs", "edge", "haproxy")
    check("no PIN, token or query is in a log of the edge or HAProxy", "/room/ABCDEF" in said and not re.search("4[2-6]4[2-6]4[2-6]|pin=|token=", said), [line for line in said.splitlines() if re.search("4[2-6]4[2-6]4[2-6]|pin=|token=", line)][:3])


def ledger(project, events):
    """Everything that somebody was told is in PostgreSQL."""
    query = "SELECT room_id || ' ' || epoch || ' ' || version FROM room_events WHERE room_id LIKE 'crowd-%'"
    missing = []

    def all_there():
        rows = project.run(project.engine.compose_program, "exec", "-T", "postgres", "psql", "-U", "tandem", "-Atc", query).stdout.split("\n")
        missing[:] = set(events) - set(rows)
        return not missing and len(rows) - 1 == len(set(rows)) - 1

    check("and in the ledger, once", wait(all_there, 60), missing[:5])


def compose(engine):
    section("Compose")
    files = sorted(inputs.now()["compose"].keys())
    with tempfile.TemporaryDirectory(prefix="tandem-compose-") as scratch:
        project = Project(engine, pathlib.Path(scratch), ROOT, files)
        done = project.run("scripts/compose-secrets.sh")
        check("compose-secrets.sh writes .env", done.returncode == 0, done.stderr)
        try:
            project.compose("up", "--detach", "--no-build", "--pull", "never")
            healthy(project, edge=1, node=1, worker=1, redis=1, postgres=1, coturn=1)
            names = project.compose("ps", "--all", "--format", "{{.Name}}", "migrate").split()
            check("the migration has ended well", wait(lambda: engine.inspect(names[0], ".State.Status") == "exited" and engine.inspect(names[0], ".State.ExitCode") == 0, 60))
            crowd = Crowd(6, 3)
            check("a crowd is in, and talks", crowd.all_in, (DIRECTORY / "crowd.log").read_text()[-1000:])
            project.compose("up", "--detach", "--no-build", "--pull", "never", "--scale", "node=3")
            healthy(project, node=3)
            project.compose("up", "--detach", "--no-build", "--pull", "never", "--scale", "node=2")
            healthy(project, node=2)
            prometheus(project)
            section("Compose: other secrets")
            rotations(project)
            section("Compose: two colours")
            two_colors(project)
            logs(project)
            section("Compose: what became of the crowd")
            said = crowd.end()
            events = said.pop("events")
            print(json.dumps({**said, "wrongs": said["wrongs"][:3]}))
            check(f"of {said['said']} words nothing is lost, doubled or out of order; {said['resumed']} resumed", not said["wrongs"] and said["heard"] > said["said"] > 0 and said["resumed"] > 0, said["wrongs"][:5])
            check("nobody had to begin anew", said["rejoined"] == 0 and said["begun_anew"] == 0, said)
            ledger(project, events)
            edge(project)
        finally:
            project.compose("--profile", "*", "down", "--volumes", "--timeout", "1")


def main():
    # Whoever ends this wants what it started ended, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with Engine(DIRECTORY, VENV) as engine:
        store = stand_ins.Store(DIRECTORY)
        text = (ROOT / "docker-compose.yml").read_text()
        images = sorted(image for image in set(re.findall(r"^ *image: ([^\s$]+)$", text, re.M)) if not image.startswith("grafana/"))
        engine.load(store, [IMAGE, *(images if "compose" in sys.argv else [])])
        if "image" in sys.argv:
            image(engine)
        if "compose" in sys.argv:
            compose(engine)
        if "pods" in sys.argv:
            section("Pods")
            pods.tell(check, wait, get, store)
    print(f"\n{passed} passed, {failed} failed, in {time.monotonic() - started:.0f} s")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
