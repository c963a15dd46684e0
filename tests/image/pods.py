"""The pods of the rendered dev overlay, started by `podman kube play`: nodes, worker with its migration, Redis and PostgreSQL.

What podman 4.3 does not know is put into words that it does: a StatefulSet becomes a Pod, a Secret the values of its keys, a claim or an
emptyDir a volume whose owner is fsGroup, names of Services an entry in /etc/hosts, since all pods have the network of this test. Users,
rights, read-only roots, limits, settings, commands and images' entry points stay as they are rendered. What a kubelet does, this does in its
place: it asks each probe, and calls what is to be called before a stop.
"""

import base64
import os
import pathlib
import re
import subprocess
import sys
import time

import yaml

import stand_ins
from stand_ins import ROOT

VENV = ROOT / "target/deploy-venv"
# In the order in which they are started.
WORKLOADS = ("postgres", "redis", "node", "worker")
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


def image_here(name):
    return "localhost/tandem:local" if stand_ins.program(name) == "tandem" else stand_ins.local(name)


class Translation:
    def __init__(self, docs, make_volume):
        self.make_volume = make_volume
        self.secrets, self.probes, self.before_stop = {}, {}, {}
        for doc in docs:
            if doc["kind"] == "Secret":
                data = {key: base64.b64decode(value).decode() for key, value in (doc.get("data") or {}).items()}
                self.secrets[doc["metadata"]["name"]] = {**data, **(doc.get("stringData") or {})}
        self.names = sorted({doc["metadata"]["name"] for doc in docs if doc["kind"] == "Service"})

    def container(self, container, pod):
        container["image"], container["imagePullPolicy"] = image_here(container["image"]), "Never"
        ports = {port.get("name"): port["containerPort"] for port in container.pop("ports", [])}
        for kind in PROBES:
            if probe := container.pop(kind, None):
                self.probes[pod, kind] = (f"{pod}-{container['name']}", probe, ports)
        if hook := container.pop("lifecycle", {}).get("preStop"):
            self.before_stop[pod] = (f"{pod}-{container['name']}", hook["exec"]["command"])
        container.pop("resizePolicy", None)
        for mount in container.get("volumeMounts", []):
            # podman puts a folder in memory on /run, which /var/run is.
            mount["mountPath"] = re.sub("^/var/run/", "/run/", mount["mountPath"])
        values = {}
        for variable in list(container.get("env", [])):
            source = variable.pop("valueFrom", {})
            if reference := source.get("secretKeyRef"):
                variable["value"] = self.secrets.get(reference["name"], {}).get(reference["key"])
                if variable["value"] is None:
                    assert reference.get("optional"), f"{pod}: no {reference}"
                    container["env"].remove(variable)
                    continue
            elif source.get("fieldRef"):
                variable["value"] = {"metadata.name": f"{pod}-0", "metadata.namespace": "default"}.get(source["fieldRef"]["fieldPath"], "127.0.0.1")
            values[variable["name"]] = variable.get("value", "")
        for field in ("command", "args"):
            if field in container:
                container[field] = [re.sub(r"\$\((\w+)\)", lambda match: values.get(match[1], match[0]), word) for word in container[field]]

    def pod(self, name, spec, claims):
        for container in spec["containers"] + spec.get("initContainers", []):
            self.container(container, name)
        owner = spec.get("securityContext", {}).get("fsGroup", 0)
        volumes = spec.get("volumes", []) + [{"name": claim["metadata"]["name"], "claim": True} for claim in claims]
        for volume in volumes:
            if volume.pop("claim", None) or volume.pop("emptyDir", None) is not None:
                volume["persistentVolumeClaim"] = {"claimName": self.make_volume(f"{name}-{volume['name']}", owner)}
        for gone in ("affinity", "topologySpreadConstraints", "serviceAccountName", "nodeSelector", "priorityClassName", "imagePullSecrets"):
            spec.pop(gone, None)
        # An init container of podman would be started again, and again.
        spec.update(volumes=volumes, hostNetwork=True, restartPolicy="OnFailure")
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"test": name}}, "spec": spec}


def tell(check, wait, get, store):
    hosts, config = store.directory / "hosts", store.directory / "pods.conf"
    config.write_text((store.directory / "containers.conf").read_text().replace("[containers]\n", f'[containers]\nbase_hosts_file = "{hosts}"\n'))
    env = {**store.env, "CONTAINERS_CONF": str(config)}

    def podman(*command, **more):
        return subprocess.run(["podman", *command], env=env, text=True, capture_output=True, check=False, **more)

    made = []

    def make_volume(name, owner):
        name = f"tandem-{name}"
        podman("volume", "rm", "--force", name)
        path = store.run("podman", "volume", "create", name) and store.run("podman", "volume", "inspect", "--format", "{{.Mountpoint}}", name)
        os.chown(path, 0, owner)
        os.chmod(path, 0o2777)
        # One that is not empty keeps its owner: else podman gives it that of the image's folder.
        pathlib.Path(path, "lost+found").mkdir()
        made.append(name)
        return name

    def answers(pod, kind):
        container, probe, ports = translation.probes[pod, kind]
        if "exec" in probe:
            return podman("exec", container, *probe["exec"]["command"]).returncode == 0
        port = probe["httpGet"]["port"]
        return 200 <= get(f"http://127.0.0.1:{ports.get(port, port)}{probe['httpGet']['path']}")[0] < 400

    def state(container, field):
        return podman("inspect", "--format", f"{{{{.State.{field}}}}}", container).stdout.strip()

    rendered = subprocess.run([VENV / "bin/kubectl", "kustomize", ROOT / "overlays/dev"], text=True, capture_output=True, check=True).stdout
    docs = [doc for doc in yaml.safe_load_all(rendered) if doc]
    workloads = {doc["metadata"]["name"]: doc for doc in docs if doc["kind"] in ("Deployment", "StatefulSet")}
    check(f"the dev overlay has {', '.join(WORKLOADS)}", set(WORKLOADS) <= workloads.keys(), sorted(workloads))
    translation = Translation(docs, make_volume)
    hosts.write_text(f"127.0.0.1 localhost {' '.join(translation.names)}\n")
    configs = [doc for doc in docs if doc["kind"] == "ConfigMap"]
    for doc in configs:
        doc["metadata"].pop("namespace", None)
    try:
        for name in WORKLOADS:
            workload = workloads[name]
            pod = translation.pod(name, workload["spec"]["template"]["spec"], workload["spec"].get("volumeClaimTemplates", []))
            done = podman("kube", "play", "-", input=yaml.safe_dump_all([*configs, pod]))
            running = lambda name=name: podman("pod", "inspect", "--format", "{{.State}}", name).stdout.strip() == "Running"  # noqa: E731
            good = check(f"the pod {name} starts", done.returncode == 0 and wait(running, 60), done.stderr + podman("pod", "logs", name).stdout[-1500:])
            if not good:
                return
            if name == "postgres":
                ask = ("exec", "postgres-postgres", "pg_isready", "-h", "127.0.0.1", "-U", "tandem", "-d", "tandem")
                check("PostgreSQL is ready", wait(lambda: podman(*ask).returncode == 0), podman("pod", "logs", "postgres").stdout[-1500:])
        for pod, kind in translation.probes:
            check(f"{kind} of {pod} is answered", wait(lambda asked=(pod, kind): answers(*asked), 60), podman("pod", "logs", pod).stdout[-1500:])
        tables = podman("exec", "postgres-postgres", "psql", "-h", "/var/run/postgresql", "-U", "tandem", "-Atc", "SELECT count(*) FROM information_schema.tables WHERE table_name IN ('rooms', 'users', 'room_events')")
        check("the worker's pod has migrated", tables.stdout.strip() == "3", tables.stdout + tables.stderr)
        done = subprocess.run([sys.executable, ROOT / "scripts/smoke-test", "ws://127.0.0.1:4001/ws"], text=True, capture_output=True, check=False)
        check("the smoke test passes", done.returncode == 0, done.stderr)
        query = ("exec", "postgres-postgres", "psql", "-h", "/var/run/postgresql", "-U", "tandem", "-Atc", "SELECT count(*) FROM room_events WHERE event_type = 'BROADCAST'")
        check("and the worker writes down what was said", wait(lambda: podman(*query).stdout.strip() == "3", 60), podman(*query).stdout)
        begun = time.monotonic()
        container, command = translation.before_stop["node"]
        check("a node that is about to be stopped is waited for", podman("exec", container, *command).returncode == 0 and time.monotonic() - begun >= 5, time.monotonic() - begun)
        podman("stop", "redis-redis")
        for pod in ("node", "worker"):
            check(f"without Redis {pod} is not ready, but lives", wait(lambda pod=pod: not answers(pod, "readinessProbe"), 60) and answers(pod, "livenessProbe"))
        container, command = translation.before_stop["postgres"]
        podman("exec", container, *command)
        check("PostgreSQL ends well although it is in use", wait(lambda: state(container, "Status") == "exited", 60) and state(container, "ExitCode") == "0", podman("logs", container).stderr[-1500:])
    finally:
        for name in WORKLOADS:
            podman("pod", "rm", "--force", "--time", "1", name)
        for name in made:
            podman("volume", "rm", "--force", name)
