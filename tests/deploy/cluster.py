"""The overlays on a real API server, with its controllers and scheduler, and with machines that are only pretended: what they are told
runs nowhere, but gets ready, ends and takes its time as if. So this shows what Kubernetes itself says; no container runs and no network
policy acts. checks.py starts it when KUBECONFIG is set.

It refuses a cluster that has machines of its own.
"""

import base64
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

import yaml

import manifests
import rules
from manifests import ROOT

MARK = "tandem.example/pretended"
# What a node of tandem takes to end at worst: the pause, the drain, and what comes after it.
DRAIN = 20
IMAGE = "ghcr.io/example/tandem:0.2.0"
KINDS_OF_OTHERS = [kind for kind in rules.CRDS]


def check(name, good, detail=""):
    print(f"{'ok    ' if good else 'FAILED'} {name}{'' if good else f': {str(detail)[-1500:]}'}", flush=True)


def kubectl(*arguments, program="kubectl", **more):
    return subprocess.run([program, *arguments], text=True, capture_output=True, check=False, **more)


def get(*arguments):
    done = kubectl("get", *arguments, "-o", "json")
    return json.loads(done.stdout).get("items", []) if done.returncode == 0 else []


def wait(until, seconds=120):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if until():
            return True
        time.sleep(0.5)
    return False


class Machines:
    """Pretends machines. `overlaps`: the most nodes of tandem of one namespace that drained at once."""

    def __init__(self):
        self.proxy = subprocess.Popen(["kubectl", "proxy", "--port=0"], stdout=subprocess.PIPE, text=True)
        self.base = f"http://{self.proxy.stdout.readline().split()[-1]}"
        self.names, self.seen, self.address, self.overlaps = [], {}, 0, 0
        self.never = ()
        self.call("POST", "/apis/storage.k8s.io/v1/storageclasses", {
            "metadata": {"name": "pretended", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}, "provisioner": "tandem.example/none"})  # fmt: skip
        self.running = True
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def call(self, method, path, body=None, kind="application/json"):
        request = urllib.request.Request(self.base + path, method=method, data=None if body is None else json.dumps(body).encode(), headers={"Content-Type": kind})
        try:
            return json.load(urllib.request.urlopen(request, timeout=30))
        except urllib.error.HTTPError as error:
            return {"error": error.code}

    def be(self, count, cpu="4", memory="16Gi"):
        """So many machines, and no others."""
        for name in self.names:
            self.call("DELETE", f"/api/v1/nodes/{name}")
        self.names = [f"machine-{i}" for i in range(count)]
        room = {"cpu": cpu, "memory": memory, "pods": "110", "ephemeral-storage": "100Gi"}
        for i, name in enumerate(self.names):
            labels = {MARK: "true", "kubernetes.io/hostname": name, "topology.kubernetes.io/zone": f"zone-{i % 3}", "kubernetes.io/os": "linux"}
            self.call("POST", "/api/v1/nodes", {"metadata": {"name": name, "labels": labels}})
            ready = {"type": "Ready", "status": "True", "reason": "Pretended", "lastHeartbeatTime": self.now(), "lastTransitionTime": self.now()}
            self.call("PATCH", f"/api/v1/nodes/{name}/status", {"status": {"capacity": room, "allocatable": room, "conditions": [ready]}}, "application/merge-patch+json")
            self.call("PATCH", f"/api/v1/nodes/{name}", {"spec": {"taints": []}}, "application/merge-patch+json")

    @staticmethod
    def now():
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())

    def _start(self, pod):
        self.address += 1
        address = f"10.1.{self.address // 250 % 250}.{self.address % 250 + 1}"
        job = any(owner["kind"] == "Job" for owner in pod["metadata"].get("ownerReferences", []))
        ended = {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": self.now(), "finishedAt": self.now()}}
        status = {
            "phase": "Succeeded" if job else "Running", "podIP": address, "podIPs": [{"ip": address}], "startTime": self.now(),
            "conditions": [{"type": kind, "status": "True", "lastTransitionTime": self.now()} for kind in ("Initialized", "ContainersReady", "Ready", "PodScheduled")],
            "containerStatuses": [
                {"name": c["name"], "image": c["image"], "imageID": "none", "ready": not job, "started": True, "restartCount": 0, "state": ended if job else {"running": {"startedAt": self.now()}}}
                for c in pod["spec"]["containers"]
            ],
        }  # fmt: skip
        self.call("PATCH", f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}/status", {"status": status}, "application/merge-patch+json")

    def _look(self):
        pods, now, ending = self.call("GET", "/api/v1/pods?limit=2000").get("items", []), time.monotonic(), {}
        for pod in pods:
            meta, labels = pod["metadata"], pod["metadata"].get("labels", {})
            since = now - self.seen.setdefault((meta["uid"], "deletionTimestamp" in meta, bool(pod["spec"].get("nodeName"))), now)
            node = labels.get(rules.COMPONENT) == "node"
            if "deletionTimestamp" in meta:
                ending[meta["namespace"]] = ending.get(meta["namespace"], 0) + (node and pod["status"].get("phase") == "Running")
                if since >= (DRAIN if node else 1):
                    self.call("DELETE", f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}?gracePeriodSeconds=0")
            elif pod["spec"].get("nodeName") and pod["status"].get("phase") == "Pending" and since >= 1 and not meta["name"].startswith(self.never or "-"):
                self._start(pod)
        self.overlaps = max([self.overlaps, *ending.values()])
        for claim in self.call("GET", "/api/v1/persistentvolumeclaims").get("items", []):
            meta = claim["metadata"]
            if claim["status"].get("phase") == "Pending" and (meta["uid"], "claim") not in self.seen:
                self.seen[meta["uid"], "claim"] = now
                self.call("POST", "/api/v1/persistentvolumes", {"metadata": {"name": f"pv-{meta['uid']}"}, "spec": {
                    "capacity": claim["spec"]["resources"]["requests"], "accessModes": claim["spec"]["accessModes"], "storageClassName": claim["spec"].get("storageClassName", "pretended"),
                    "persistentVolumeReclaimPolicy": "Delete", "hostPath": {"path": "/none"}, "claimRef": {"namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"]}}})  # fmt: skip

    def _run(self):
        while self.running:
            try:
                self._look()
            except OSError as error:
                print(f"machines: {error}", file=sys.stderr)
            time.sleep(0.5)

    def end(self):
        self.running = False
        self.thread.join()
        for name in self.names:
            self.call("DELETE", f"/api/v1/nodes/{name}")
        self.proxy.kill()


def kinds_of_others(machines):
    """The kinds that components need, as any object."""
    for name in KINDS_OF_OTHERS:
        group, version, kind = name.split("/")
        plural = kind.lower()[:-1] + "ies" if kind[-2:] in ("xy", "ry") else kind.lower() + "s"
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        machines.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", {
            "metadata": {"name": f"{plural}.{group}", "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"}},
            "spec": {"group": group, "scope": "Namespaced", "names": {"kind": kind, "plural": plural}, "versions": [{"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}]}})  # fmt: skip


def settled(namespace):
    """Nothing waits, everything is new."""
    for one in get("deployments,statefulsets", "-n", namespace):
        spec, status = one["spec"], one.get("status", {})
        if status.get("observedGeneration") != one["metadata"]["generation"] or not status.get("readyReplicas", 0) == status.get("updatedReplicas", 0) == spec.get("replicas", 1):
            return False
        if one["kind"] == "Deployment" and (status.get("replicas") != spec["replicas"] or status.get("availableReplicas") != spec["replicas"]):
            return False
    scaled = get("hpa", "-n", namespace)
    counts = {one["metadata"]["name"]: one["spec"]["replicas"] for one in get("deployments", "-n", namespace)}
    return all(counts.get(one["spec"]["scaleTargetRef"]["name"], 0) >= one["spec"]["minReplicas"] for one in scaled) and all(
        pod["status"]["phase"] == "Running" or pod["status"]["phase"] == "Succeeded" for pod in get("pods", "-n", namespace)
    )


def state(namespace):
    return kubectl("get", "pods,deployments,statefulsets", "-n", namespace).stdout + kubectl("get", "events", "-n", namespace, "--field-selector=type=Warning").stdout[-600:]


def gone(namespace):
    kubectl("delete", "namespace", namespace, "--wait=false")
    return wait(lambda: kubectl("get", "namespace", namespace).returncode != 0, 180)


def secrets(namespace):
    return subprocess.run(["scripts/k8s-secrets.sh", namespace], text=True, capture_output=True, check=False, cwd=ROOT)


@contextlib.contextmanager
def tree(overlay=None, components=(), without=()):
    """A copy of what is deployed, with another list of components in the overlay."""
    with tempfile.TemporaryDirectory() as directory:
        top = pathlib.Path(directory)
        for name in ("k8s", "overlays", "scripts"):
            shutil.copytree(ROOT / name, top / name)
        if overlay:
            reshaped(top, overlay, components, without)
        yield top


def reshaped(top, overlay, components=(), without=()):
    file = top / "overlays" / overlay / "kustomization.yaml"
    have = yaml.safe_load((ROOT / "overlays" / overlay / "kustomization.yaml").read_text())
    names = [*components, *(pathlib.Path(path).name for path in have.get("components", []) if pathlib.Path(path).name not in without)]
    have["components"] = [f"../../k8s/components/{name}" for name in names]
    if "bluegreen" in names:
        have["images"] += [{"name": f"tandem-{color}", "newName": "ghcr.io/example/tandem", "newTag": "0.1.0"} for color in ("blue", "green")]
    file.write_text(yaml.safe_dump(have))


def empty(machines):
    """What a new cluster says to the overlays as they are."""
    machines.be(3)
    for overlay, namespace in (("dev", "tandem-dev"), ("staging", "tandem-staging"), ("prod", "tandem")):
        if overlay != "dev":
            told = subprocess.run(["scripts/preflight", overlay], text=True, capture_output=True, check=False, cwd=ROOT)
            check(f"preflight {overlay} misses the Secret", told.returncode == 1 and "there is no Secret tandem" in told.stdout, told.stdout + told.stderr)
            secrets(namespace)
        told = subprocess.run(["scripts/preflight", overlay], text=True, capture_output=True, check=False, cwd=ROOT)
        check(f"preflight {overlay} has nothing against three machines", told.returncode == 0, told.stdout + told.stderr)
        for program in ("kubectl-1.27", "kubectl"):
            done = kubectl("apply", "-k", f"overlays/{overlay}", program=program, cwd=ROOT)
            check(f"{program} apply -k overlays/{overlay} on an empty cluster", done.returncode == 0 and "would violate" not in done.stderr, done.stderr)
        check(f"{overlay} runs on three machines, and no pod waits", wait(lambda: settled(namespace), 240), state(namespace))
        if overlay != "prod":
            check(f"{overlay} goes again", gone(namespace))


def drained(machines):
    """Every machine of three can be drained while prod runs, if two have room for it."""
    machines.be(3, cpu="8")
    if not wait(lambda: settled("tandem"), 240):
        check("prod runs on three machines of 8 CPU", False, state("tandem"))
        return
    for name in machines.names:
        done = kubectl("drain", name, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=300s")
        kubectl("uncordon", name)
        check(f"prod lets {name} of three be drained", done.returncode == 0, done.stdout + done.stderr)
        if not wait(lambda: settled("tandem"), 240):
            check("and all is well after it", False, state("tandem"))
            return
    check("and all is well after each", True)


def rolled(machines):
    """A rollout on exactly as many machines as nodes."""
    machines.be(5)
    wait(lambda: settled("tandem"), 240)
    machines.overlaps = 0
    done = subprocess.run(["scripts/deploy.sh", "prod", IMAGE, "rollout"], text=True, capture_output=True, check=False, cwd=ROOT)
    used = {c["image"] for d in get("deployments", "-n", "tandem") for c in d["spec"]["template"]["spec"]["containers"]}
    check("deploy.sh rolls prod", done.returncode == 0 and used == {IMAGE}, done.stdout[-500:] + done.stderr)
    check("no two drains overlap", machines.overlaps == 1, f"{machines.overlaps} at once")
    places = {}
    for pod in get("pods", "-n", "tandem", "-l", "app.kubernetes.io/component=node"):
        places[pod["spec"]["nodeName"]] = places.get(pod["spec"]["nodeName"], 0) + 1
    check("nodes are spread over the machines", max(places.values()) - min([places.get(name, 0) for name in machines.names]) <= 2, places)
    done = subprocess.run(["scripts/deploy.sh", "prod", IMAGE, "migrate"], text=True, capture_output=True, check=False, cwd=ROOT)
    check("deploy.sh migrates", done.returncode == 0, done.stdout[-500:] + done.stderr)
    done = subprocess.run(["scripts/rollback.sh", "tandem"], text=True, capture_output=True, check=False, cwd=ROOT)
    used = {c["image"] for d in get("deployments", "-n", "tandem") for c in d["spec"]["template"]["spec"]["containers"]}
    check("rollback.sh puts back what ran before", done.returncode == 0 and used == {"ghcr.io/example/tandem:0.1.0"}, f"{used} {done.stderr}")


def small(machines):
    """Too little room is told before anything is applied."""
    for count, cpu, words in ((2, "16", "takes the majority"), (3, "2", "finds none")):
        machines.be(count, cpu)
        told = subprocess.run(["scripts/preflight", "prod"], text=True, capture_output=True, check=False, cwd=ROOT)
        check(f"preflight finds {count} machines of {cpu} CPU too small for prod", told.returncode == 1 and words in told.stdout, told.stdout)
    machines.be(3)


def everything(machines):
    """Every combination of components, as the API server takes it, Pod Security restricted."""
    told = subprocess.run(["scripts/preflight", "prod"], text=True, capture_output=True, check=False, cwd=ROOT, env={**os.environ})
    check("preflight says that nobody gets in", "nobody gets in from outside" in told.stdout, told.stdout)
    with tree("prod", ["gateway-api", "monitoring"]) as top:
        told = subprocess.run([top / "scripts/preflight", "prod"], text=True, capture_output=True, check=False)
        check("preflight finds kinds that the cluster does not have", told.returncode == 1 and "has no Gateway" in told.stdout and "has no ServiceMonitor" in told.stdout, told.stdout)
    kinds_of_others(machines)
    wait(lambda: kubectl("get", "gateways.gateway.networking.k8s.io", "-A").returncode == 0, 30)
    for overlay in manifests.OVERLAYS:
        built = kubectl("kustomize", f"overlays/{overlay}", cwd=ROOT).stdout
        kubectl("apply", "-f", "-", input=yaml.safe_dump(next(d for d in yaml.safe_load_all(built) if d["kind"] == "Namespace")))
    bad = []
    for name, (_, _, text, _) in manifests.build_all("kubectl").items():
        done = kubectl("apply", "--dry-run=server", "-f", "-", input=text)
        if done.returncode or "would violate" in done.stderr:
            # A StatefulSet of another shape that runs is reshape's.
            if "redis" in done.stderr and "Forbidden: updates to statefulset" in done.stderr:
                continue
            bad.append(f"{name}: {done.stderr[-300:]}")
    check("the API server takes every overlay with every component", not bad, bad)


class Watch:
    """How few endpoints a Service had while something went on."""

    def __init__(self, namespace, service):
        self.arguments = ("endpointslices", "-n", namespace, "-l", f"kubernetes.io/service-name={service}")
        self.fewest, self.going = 10**6, True
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while self.going:
            done = kubectl("get", *self.arguments, "-o", "json")
            if done.returncode == 0:
                ready = sum(e["conditions"].get("ready", True) for s in json.loads(done.stdout)["items"] for e in s.get("endpoints") or [])
                self.fewest = min(self.fewest, ready)
            time.sleep(0.3)

    def end(self):
        self.going = False
        self.thread.join()
        return self.fewest


# Stands in for what runs in pods, which is nothing: the Sentinels' answer.
EXEC = """#!/usr/bin/env bash
case " $* " in
*" exec "*"get-master-addr-by-name"*) kubectl get statefulset redis -n tandem-staging -o 'jsonpath={.spec.template.spec.containers[*].name}' | grep -q sentinel && { cat "$STATE" 2>/dev/null || echo redis-1.redis-headless; } ;;
*" exec "*" failover "*) echo redis-0.redis-headless >"$STATE"; echo OK ;;
*" exec -i "*) cat >/dev/null; echo OK ;;
*" exec "*) echo OK ;;
*) exec kubectl "$@" ;;
esac
"""


def shapes(machines):
    """Changes of shape of a deployment that runs."""
    machines.be(5)
    with tree() as top, tempfile.TemporaryDirectory() as scratch:
        program = pathlib.Path(scratch, "kubectl-exec")
        program.write_text(EXEC)
        program.chmod(0o755)
        env = {**os.environ, "KUBECTL": str(program), "STATE": f"{scratch}/master", "PATIENCE": "400"}

        def reshape(overlay="staging"):
            return subprocess.run([top / "scripts/reshape", overlay, IMAGE], text=True, capture_output=True, check=False, env=env)

        def names(kinds, **labels):
            return {one["metadata"]["name"] for one in get(kinds, "-n", "tandem-staging", "-l", ",".join(["app.kubernetes.io/name=tandem", *(f"app.kubernetes.io/{k}={v}" for k, v in labels.items())]))}

        reshaped(top, "staging", without=["redis-sentinel"])
        gone("tandem-staging")
        secrets("tandem-staging")
        subprocess.run([top / "scripts/deploy.sh", "staging", IMAGE, "rollout"], text=True, capture_output=True, check=False)
        check("staging runs with one Redis", wait(lambda: settled("tandem-staging"), 240), state("tandem-staging"))
        for title, components, without, nodes in (
            ("one colour to two", ["bluegreen"], ["redis-sentinel"], {"node-blue", "node-green"}),
            ("two colours to one", [], ["redis-sentinel"], {"node"}),
        ):
            reshaped(top, "staging", components, without)
            told = subprocess.run([top / "scripts/preflight", "staging"], text=True, capture_output=True, check=False)
            check(f"{title}: preflight says that the shape is another", told.returncode == 1 and "reshape" in told.stdout, told.stdout)
            watch, machines.overlaps = Watch("tandem-staging", "node"), 0
            done = reshape()
            fewest = watch.end()
            check(f"{title}: done", done.returncode == 0, done.stdout + done.stderr)
            check(f"{title}: the Service always had a node", 0 < fewest < 10**6, fewest)
            check(f"{title}: nothing is left over", names("deployments", component="node") == nodes and wait(lambda: settled("tandem-staging"), 60), names("deployments"))
        reshaped(top, "staging")
        watch = Watch("tandem-staging", "node")
        done = reshape()
        check("one Redis to Sentinel: done, and the old nodes were led to the master", done.returncode == 0 and "leads to redis-1" in done.stdout, done.stdout + done.stderr)
        check("one Redis to Sentinel: the Service always had a node", 0 < watch.end() < 10**6)
        left = names("services"), names("poddisruptionbudgets")
        check("one Redis to Sentinel: three Redis with a budget, and no Service that leads to any", "redis" not in left[0] and "redis" in left[1] and len(get("pods", "-n", "tandem-staging", "-l", "app.kubernetes.io/component=redis")) == 3, left)
        reshaped(top, "staging", without=["redis-sentinel"])
        done = reshape()
        service = get("services", "-n", "tandem-staging", "--field-selector=metadata.name=redis")
        check("Sentinel to one Redis: done", done.returncode == 0 and "redis-0" in pathlib.Path(scratch, "master").read_text() and service and "statefulset.kubernetes.io/pod-name" not in service[0]["spec"]["selector"], done.stdout + done.stderr)
        check("Sentinel to one Redis: the volumes of the others are told, not deleted", "data-redis-2 stays" in done.stdout and "redis" not in names("poddisruptionbudgets"), done.stdout)
        reshaped(top, "staging", ["managed"], ["redis-sentinel"])
        done = reshape()
        check("to managed: not while nodes run", done.returncode == 1 and "Stop the nodes first" in done.stderr, done.stdout + done.stderr)
        kubectl("scale", "-n", "tandem-staging", "deployment", "node", "worker", "--replicas=0")
        wait(lambda: not get("pods", "-n", "tandem-staging", "-l", "app.kubernetes.io/component in (node,worker)"), 60)
        done = reshape()
        check("to managed: done", done.returncode == 0 and "StatefulSet/postgres stays" in done.stdout and wait(lambda: settled("tandem-staging"), 60), done.stdout + done.stderr)
        check("to managed: no policy, Service or dump of the old ones is left", not names("services,cronjobs,networkpolicies") & {"postgres", "redis", "redis-headless", "backup"}, names("services,cronjobs,networkpolicies"))
        reshaped(top, "staging", without=["redis-sentinel"])
        kubectl("scale", "-n", "tandem-staging", "deployment", "node", "worker", "--replicas=0")
        wait(lambda: not get("pods", "-n", "tandem-staging", "-l", "app.kubernetes.io/component in (node,worker)"), 60)
        done = reshape()
        check("from managed and back: done", done.returncode == 0 and "pgbouncer" not in names("deployments") and wait(lambda: settled("tandem-staging"), 60), done.stdout + done.stderr)


def rotated(machines):
    """Every secret is changed while staging runs. What runs in pods is nothing here: Redis, its Sentinels and PostgreSQL answer OK (tests/deploy
    has them for real). This shows what the API server makes of the Secret, and that nobody is without a node while all are started anew."""
    machines.be(5)
    namespace = "tandem-staging"
    gone(namespace)
    secrets(namespace)
    with tree("staging", ["coturn"]) as top, tempfile.TemporaryDirectory() as scratch:
        program = pathlib.Path(scratch, "kubectl-exec")
        program.write_text(EXEC)
        program.chmod(0o755)
        env = {**os.environ, "KUBECTL": str(program), "STATE": f"{scratch}/master"}
        done = subprocess.run([top / "scripts/deploy.sh", "staging", IMAGE, "rollout"], text=True, capture_output=True, check=False)
        check("staging runs, with coturn", done.returncode == 0 and wait(lambda: settled(namespace), 240), done.stderr + state(namespace))

        def has():
            data = json.loads(kubectl("get", "secret", "tandem", "-n", namespace, "-o", "json").stdout)["data"]
            return {name: base64.b64decode(value).decode() for name, value in data.items()}

        def generations():
            return {one["metadata"]["name"]: one["metadata"]["generation"] for one in get("deployments,statefulsets", "-n", namespace)}

        def rotate(*arguments):
            """What it said, what the Secret is then, and what was started anew."""
            before, watch, machines.overlaps = generations(), Watch(namespace, "node"), 0
            done = subprocess.run([top / "scripts/rotate-secret-k8s.sh", namespace, *arguments], text=True, capture_output=True, check=False, env=env)
            fewest = watch.end()
            anew = {name for name, generation in generations().items() if generation != before.get(name)}
            good = done.returncode == 0 and fewest > 0 and machines.overlaps <= 1
            return good, has(), anew, f"{fewest} endpoints, {machines.overlaps} drains at once, {done.stderr}"

        first = has()
        for name, anew, kept in (
            ("REDIS_PASSWORD", {"worker", "node"}, False),
            ("POSTGRES_PASSWORD", {"worker", "node"}, False),
            ("TURN_SECRET", {"coturn", "worker", "node"}, True),
            ("TANDEM_SECRET", {"node"}, True),
        ):
            old = has()
            good, new, restarted, said = rotate(name)
            wanted = {**old, name: new.get(name), **({f"{name}_PREVIOUS": old[name]} if kept else {})}
            check(f"{name} is another one, and {', '.join(sorted(anew))} came back with it, one after the other", good and new == wanted and new[name] != old[name] and restarted == anew, (said, sorted(new), restarted))
        done = subprocess.run([top / "scripts/rotate-secret-k8s.sh", namespace, "TANDEM_SECRET"], text=True, capture_output=True, check=False, env=env)
        check("TANDEM_SECRET is not changed again before the old one is forgotten", done.returncode == 1 and "--forget" in done.stderr, done.stderr)
        for name, anew in (("TURN_SECRET", {"coturn"}), ("TANDEM_SECRET", {"node"})):
            good, new, restarted, said = rotate(name, "--forget")
            check(f"the {name} from before is forgotten", good and f"{name}_PREVIOUS" not in new and restarted == anew, (said, sorted(new), restarted))
        check("and the Secret is as it was, with other values", has().keys() == first.keys() and not set(has().values()) & set(first.values()), sorted(has()))
        check("and all is well", wait(lambda: settled(namespace), 120), state(namespace))
    gone(namespace)


def deployer(machines):
    """The account of the pipeline may do all of it, and no more."""
    gone("tandem-staging")
    kubectl("create", "namespace", "tandem-staging")
    done = kubectl("apply", "-n", "tandem-staging", "-k", "k8s/deployer", cwd=ROOT)
    check("an administrator makes the account `deployer`", done.returncode == 0, done.stderr)
    secrets("tandem-staging")
    with tree("staging", ["gateway-api", "monitoring", "bluegreen"]) as top:
        for account, wanted in (("system:serviceaccount:tandem-staging:deployer", 0), ("editor", 1)):
            kubectl("create", "rolebinding", "editor", "-n", "tandem-staging", "--clusterrole=edit", "--user=editor")
            env = {**os.environ, "KUBECTL": f"kubectl --as={account}"}
            for step in ("migrate", "rollout"):
                done = subprocess.run([top / "scripts/deploy.sh", "staging", IMAGE, step], text=True, capture_output=True, check=False, env=env)
                check(f"{account.split(':')[-1]} {'may' if wanted == 0 else 'may not'} {step}", (done.returncode == 0) == (wanted == 0), done.stdout[-600:] + done.stderr)
            if wanted == 0:
                done = subprocess.run([top / "scripts/switch-color-k8s.sh", "tandem-staging", "green"], text=True, capture_output=True, check=False, env=env)
                check("and switch colours", done.returncode == 0, done.stderr)
                done = subprocess.run([top / "scripts/rollback.sh", "tandem-staging"], text=True, capture_output=True, check=False, env=env)
                check("and go back", done.returncode == 0, done.stderr)
    for verb, what in (("get", "secrets"), ("create", "pods/exec"), ("create", "roles"), ("patch", "namespaces"), ("create", "pods")):
        done = kubectl("auth", "can-i", verb, what, "-n", "tandem-staging", "--as=system:serviceaccount:tandem-staging:deployer")
        check(f"it may not {verb} {what}", done.stdout.strip() == "no", done.stdout)


def main():
    owned = [node["metadata"]["name"] for node in get("nodes") if MARK not in node["metadata"].get("labels", {})]
    if kubectl("get", "--raw", "/readyz").returncode or owned:
        # This makes and deletes namespaces: it would do harm there.
        print(f"KUBECONFIG names {'a cluster with machines of its own: ' + ', '.join(owned) if owned else 'no API server that answers'}", file=sys.stderr)
        sys.exit(69)
    os.chdir(ROOT)
    machines = Machines()
    try:
        parts = {"empty": empty, "rolled": rolled, "drained": drained, "small": small, "everything": everything, "shapes": shapes, "rotated": rotated, "deployer": deployer}
        for part in sys.argv[1:] or parts:
            started = time.monotonic()
            parts[part](machines)
            print(f"# {part}: {time.monotonic() - started:.0f} s", flush=True)
    finally:
        for namespace in ("tandem", "tandem-staging", "tandem-dev"):
            kubectl("delete", "namespace", namespace, "--wait=false")
        wait(lambda: not get("pods", "-A"), 90)
        machines.end()


main()
