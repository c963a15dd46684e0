"""Redis as the components redis-sentinel and redis-cluster start it: their own commands, scripts and settings, as processes in a network
of their own that reaches nothing. A pod is a mount and host name of its own, with an address on the loopback interface.

    unshare --net --mount python redis_shapes.py      as root; checks.py does it
"""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import manifests

# With everything that a shell or a file of Redis could trip over.
PASSWORD = "hu\"sh \\ $1 '&/#%"


def check(name, good, detail=""):
    print(f"{'ok    ' if good else 'FAILED'} {name}{'' if good else f': {detail}'}", flush=True)


def wait(until, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if until():
            return True
        time.sleep(0.25)
    return False


class Pods:
    """The pods of the StatefulSet redis."""

    def __init__(self, build):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="tandem-redis-"))
        self.statefulset = build.get("StatefulSet", "redis")["spec"]
        self.maps = {doc["metadata"]["name"]: doc["data"] for doc in build.of("ConfigMap")}
        self.count = self.statefulset["replicas"]
        self.running = {}
        hosts = "127.0.0.1 localhost\n" + "".join(f"{self.address(i)} redis-{i} redis-{i}.redis-headless\n" for i in range(self.count))
        (self.directory / "hosts").write_text(hosts)
        for i in range(self.count):
            subprocess.run(["ip", "address", "add", f"{self.address(i)}/32", "dev", "lo"], check=True)
            (self.directory / str(i) / "data").mkdir(parents=True)
            (self.directory / str(i) / "run-redis").mkdir()

    def address(self, i):
        return f"10.77.0.{i + 1}"

    def _here(self, i, text):
        """Mounted paths become paths of this pod's directory, and servers listen on its address only."""
        own = self.directory / str(i)
        for path in ("/etc/redis", "/run/redis", "/scripts", "/data"):
            text = text.replace(path, f"{own}/{path.strip('/').replace('/', '-')}")
        return text.replace("port 26379\n", f"port 26379\nbind {self.address(i)}\n").replace("redis-cli cluster", f"redis-cli -h {self.address(i)} cluster")

    def _mount(self, i):
        spec = self.statefulset["template"]["spec"]
        maps = {volume["name"]: self.maps[volume["configMap"]["name"]] for volume in spec["volumes"] if "configMap" in volume}
        for mount in (mount for container in spec["containers"] for mount in container["volumeMounts"] if mount["name"] in maps):
            place = self.directory / str(i) / mount["mountPath"].strip("/").replace("/", "-")
            place.mkdir(exist_ok=True)
            for name, text in maps[mount["name"]].items():
                listen = f"bind {self.address(i)}\n" if name == "redis.conf" else ""
                (place / name).write_text(self._here(i, text) + listen)

    def start(self, i):
        # Before any container starts: a shell that reads its script while it is written anew finds nothing in it, and ends well.
        self._mount(i)
        own = self.directory / str(i)
        for container in self.statefulset["template"]["spec"]["containers"]:
            command = [self._here(i, part) for part in container["command"] + container.get("args", [])]
            command = [part.replace("$(POD_IP)", self.address(i)) for part in command]
            inside = f'hostname redis-{i} && mount --bind {self.directory}/hosts /etc/hosts && exec "$@"'
            self.running[i, container["name"]] = subprocess.Popen(
                ["unshare", "--uts", "--mount", "sh", "-c", inside, "sh", *command],
                env={"PATH": os.environ["PATH"], "REDIS_PASSWORD": PASSWORD, "REDISCLI_AUTH": PASSWORD},
                stdout=open(own / f"{container['name']}.log", "a"), stderr=subprocess.STDOUT, cwd="/tmp",
            )  # fmt: skip

    def stop(self, i, how=signal.SIGTERM):
        mine = [process for (pod, _), process in self.running.items() if pod == i]
        # Redis does not end while it writes its first append-only file after a resync; it must be told again.
        for _ in range(10):
            for process in mine:
                if process.poll() is None:
                    process.send_signal(how)
            if wait(lambda: all(process.poll() is not None for process in mine), 4):
                return
        raise TimeoutError(f"pod {i} does not end")

    def cli(self, i, *command, port=6379):
        # Nothing can be asked of a Redis that is not there, and that is an answer too.
        env = {**os.environ} if port == 26379 else {**os.environ, "REDISCLI_AUTH": PASSWORD}
        return subprocess.run(["redis-cli", "-h", self.address(i), "-p", str(port), *command], env=env, text=True, capture_output=True, check=False).stdout.strip()

    def script(self, i, path):
        """kubectl exec"""
        inside = f'hostname redis-{i} && mount --bind {self.directory}/hosts /etc/hosts && exec "$@"'
        return subprocess.run(
            ["unshare", "--uts", "--mount", "sh", "-c", inside, "sh", "sh", f"{self.directory}/{i}/{path}"],
            env={"PATH": os.environ["PATH"], "REDISCLI_AUTH": PASSWORD}, text=True, capture_output=True, check=False, timeout=60,
        )  # fmt: skip

    def probed(self, i):
        """What the probes of pod i say: the lines of those that are not content."""
        bad = []
        for container in self.statefulset["template"]["spec"]["containers"]:
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                # As in the pod, where the server is on this machine's own address.
                command = [part.replace("redis-cli", f"redis-cli -h {self.address(i)}") if part.startswith("redis-cli ") else part for part in container[kind]["exec"]["command"]]
                command = [command[0], "-h", self.address(i), *command[1:]] if command[0] == "redis-cli" else command
                done = subprocess.run(command, env={"PATH": os.environ["PATH"], "REDISCLI_AUTH": PASSWORD}, text=True, capture_output=True, check=False)
                if done.returncode or (kind == "livenessProbe" and "PONG" not in done.stdout):
                    bad.append(f"{container['name']}: {kind}: {done.stdout}{done.stderr}")
        return bad

    def told(self):
        """What the arguments of the servers tell to whoever lists processes; nothing, if it is well."""
        lines = [pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes().decode(errors="replace") for process in self.running.values() if process.poll() is None]
        return [line for line in lines if PASSWORD in line or not line]

    def logs(self):
        return "".join(f"--- {path}\n{path.read_text()[-800:]}" for path in sorted(self.directory.rglob("*.log")))

    def end(self):
        for process in self.running.values():
            if process.poll() is None:
                process.kill()
        # The next ones take the same addresses.
        for process in self.running.values():
            process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)
        for i in range(self.count):
            subprocess.run(["ip", "address", "del", f"{self.address(i)}/32", "dev", "lo"], check=False)


def sentinel(build):
    pods = Pods(build)
    try:
        for i in range(3):
            pods.start(i)

        def master():
            """As the Sentinels see it that answer."""
            for i in range(3):
                name = pods.cli(i, "sentinel", "get-master-addr-by-name", "tandem", port=26379).split("\n")[0]
                if name.startswith("redis-"):
                    return int(name.split(".")[0][6:])
            return None

        def whole(count):
            return lambda: (first := master()) is not None and f"connected_slaves:{count}" in pods.cli(first, "info", "replication")

        def others(count):
            return lambda: all(f"slaves={count - 1},sentinels={count}" in pods.cli(i, "info", "sentinel", port=26379) for i in range(3))

        good = wait(whole(2)) and master() == 0
        check("Sentinel: pod 0 is the first master, the others follow", good, pods.logs())
        if not good:
            return
        check("Sentinel: the probes are content", not pods.probed(0) and not pods.probed(2), pods.probed(0) + pods.probed(2))
        check("Sentinel: no password is in the arguments of a process", not pods.told(), pods.told())
        check("Sentinel: each knows the others, and the replicas", wait(others(3)), pods.cli(0, "info", "sentinel", port=26379))
        # Not before a replica has said that it keeps up.
        check("Sentinel: it takes writes", wait(lambda: pods.cli(0, "set", "room", "film") == "OK"), pods.cli(0, "set", "room", "film"))
        wait(lambda: pods.cli(1, "get", "room") == pods.cli(2, "get", "room") == "film", 10)
        started = time.monotonic()
        pods.stop(0, signal.SIGKILL)
        good = wait(lambda: master() not in (0, None), 150)
        check(f"Sentinel: a master that dies is followed by another ({time.monotonic() - started:.0f} s)", good, pods.logs())
        if not good:
            return
        second = master()
        check("Sentinel: which has what was written, and takes more", wait(lambda: pods.cli(second, "set", "more", "1") == "OK") and pods.cli(second, "get", "room") == "film", pods.logs())
        pods.start(0)
        check("Sentinel: the old master comes back as a replica", wait(lambda: "role:slave" in pods.cli(0, "info", "replication") and pods.cli(0, "get", "more") == "1"), pods.logs())
        for i in range(3):
            pods.stop(i)
        for i in (0, 1, 2):
            pods.start(i)
        good = wait(whole(2)) and master() == second and pods.cli(second, "get", "more") == "1"
        check("Sentinel: after all were down the master is the one that it was, with everything", good, pods.logs())
        rotation(pods, second)
    finally:
        pods.end()


# Stands in for the cluster: a Secret in a file, and pods that are processes here.
KUBECTL = r"""#!/usr/bin/env python3
import base64, json, os, pathlib, subprocess, sys
arguments, here = sys.argv[3:], pathlib.Path(os.environ["HERE"])
secret = here / "secret.json"
def option(name): return next(a.split("=", 1)[1] for a in arguments if a.startswith(name))
with open(here / "calls", "a") as calls: print(" ".join(sys.argv[1:]), file=calls)
what = " ".join(arguments[:2])
if what == "get secret" and "name" in arguments: print("secret/tandem")
elif what == "get secret": print(json.loads(secret.read_text()).get(arguments[-1].split(".data.")[-1].rstrip("}"), "") if ".data." in arguments[-1] else "", end="")
elif what == "patch secret":
    data = json.loads(secret.read_text())
    data.update(json.loads(pathlib.Path(option("--patch-file")).read_text())["data"])
    secret.write_text(json.dumps({key: value for key, value in data.items() if value is not None}))
elif what == "get pods": print("\n".join(f"pod/redis-{i}" for i in range(3)))
elif arguments[0] == "get" and arguments[1].startswith("pod/"): print("redis sentinel")
elif what == "get deployment": print("" if "pgbouncer" in " ".join(arguments) else "deployment.apps/" + ("node" if "component=node" in " ".join(arguments) else "worker"))
elif arguments[0] == "exec":
    i, command = int(arguments[2].rpartition("-")[2]), arguments[arguments.index("--") + 1:]
    place = command.index("redis-cli") + 1
    environment = {"PATH": os.environ["PATH"], "REDISCLI_AUTH": os.environ["OLD"]}
    sys.exit(subprocess.run([*command[:place], "-h", f"10.77.0.{i + 1}", *command[place:]], env=environment).returncode)
elif what == "rollout restart":
    data = json.loads(secret.read_text())
    # What is started anew comes with what the Secret has now, and must be let in; what is not yet, with what it had.
    for value in (os.environ["OLD"], base64.b64decode(data["REDIS_PASSWORD"]).decode()):
        for i in range(3):
            said = subprocess.run(["redis-cli", "-h", f"10.77.0.{i + 1}", "ping"], env={"PATH": os.environ["PATH"], "REDISCLI_AUTH": value}, text=True, capture_output=True).stdout
            if "PONG" not in said: sys.exit(f"redis-{i} does not let it in")
"""


def rotation(pods, master):
    """scripts/rotate-secret-k8s.sh on what runs."""
    import base64
    import json

    program = pods.directory / "kubectl"
    program.write_text(KUBECTL)
    program.chmod(0o755)
    secret = pods.directory / "secret.json"
    secret.write_text(json.dumps({"REDIS_PASSWORD": base64.b64encode(PASSWORD.encode()).decode()}))
    env = {**os.environ, "KUBECTL": str(program), "HERE": str(pods.directory), "OLD": PASSWORD}

    def rotate():
        return subprocess.run([manifests.ROOT / "scripts/rotate-secret-k8s.sh", "tandem", "REDIS_PASSWORD"], env=env, text=True, capture_output=True, check=False)

    def asked(i, password, *command):
        return subprocess.run(["redis-cli", "-h", pods.address(i), *command], env={"PATH": os.environ["PATH"], "REDISCLI_AUTH": password}, text=True, capture_output=True, check=False).stdout

    # Somebody who holds a connection over it is not thrown out.
    held = subprocess.Popen(["redis-cli", "-h", pods.address(master)], env={"PATH": os.environ["PATH"], "REDISCLI_AUTH": PASSWORD}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    held.stdin.write("get more\n")
    held.stdin.flush()
    first = held.stdout.readline()
    done = rotate()
    data = json.loads(secret.read_text())
    new = base64.b64decode(data["REDIS_PASSWORD"]).decode()
    told = (pods.directory / "calls").read_text()
    check("Rotation: done; both passwords were good while everything was started anew", done.returncode == 0 and set(data) == {"REDIS_PASSWORD"} and new != PASSWORD, done.stdout + done.stderr)
    check("Rotation: no password is in a command", new not in told and PASSWORD not in told, "one is")
    check("Rotation: the new one is good on all, the old one on none", all("PONG" in asked(i, new, "ping") and "PONG" not in asked(i, PASSWORD, "ping") for i in range(3)))
    held.stdin.write("get more\n")
    held.stdin.close()
    check("Rotation: whoever is connected stays", first.strip() == "1" and "1" in held.stdout.read(), first)
    check("Rotation: the probes are content", not pods.probed(0), pods.probed(0))
    env["OLD"] = new
    check("Rotation: once more, from the new one", (again := rotate()).returncode == 0, again.stderr)
    new = base64.b64decode(json.loads(secret.read_text())["REDIS_PASSWORD"]).decode()
    # Replicas follow their master and Sentinels ask it, with the new one.
    good = wait(lambda: "connected_slaves:2" in asked(master, new, "info", "replication"), 30)
    pods.stop(master, signal.SIGKILL)

    def another():
        for i in range(3):
            if i != master and "role:master" in asked(i, new, "info", "replication"):
                return True
        return False

    check("Rotation: and a failover after it works", good and wait(another, 60), pods.logs())


def cluster(build):
    pods = Pods(build)
    try:
        for i in range(6):
            pods.start(i)
        wait(lambda: all(pods.cli(i, "ping") == "PONG" for i in range(6)))
        made = pods.script(0, "scripts/create-cluster.sh")
        good = wait(lambda: all("cluster_state:ok" in pods.cli(i, "cluster", "info") for i in range(6)))
        check("Cluster: create-cluster.sh makes one of the six", made.returncode == 0 and good, made.stdout[-600:] + made.stderr)
        roles = sorted(pods.cli(i, "role").split("\n")[0] for i in range(6))
        check("Cluster: no password is in the arguments of a process", not pods.told(), pods.told())
        check("Cluster: three masters, three replicas", roles == ["master"] * 3 + ["slave"] * 3, roles)
        again = pods.script(3, "scripts/create-cluster.sh")
        check("Cluster: a second time it does nothing", again.returncode == 0 and "there is a cluster" in again.stdout, again.stdout + again.stderr)
        check("Cluster: it takes writes", pods.cli(0, "-c", "set", "room", "film") == "OK")
        for i in range(6):
            pods.stop(i)
        for i in range(6):
            pods.start(i)
        good = wait(lambda: all("cluster_state:ok" in pods.cli(i, "cluster", "info") for i in range(6)), 30)
        check("Cluster: after all were down it is whole again", good and pods.cli(1, "-c", "get", "room") == "film", pods.cli(1, "cluster", "info"))
    finally:
        pods.end()


subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
subprocess.run(["mount", "--make-rprivate", "/"], check=True)
builds = {build.name: build for build in manifests.parse(manifests.build_all("kubectl"))}
which = sys.argv[1:] or ["sentinel", "cluster"]
if "sentinel" in which:
    sentinel(builds["dev+redis-sentinel"])
if "cluster" in which:
    cluster(builds["dev+redis-cluster"])
