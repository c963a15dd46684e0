"""What must hold of the manifests: each rule takes one build and returns what is wrong with it. BROKEN has for each rule what it must find."""

import ipaddress
import json
import pathlib
import re

import jsonschema
import kubernetes_validate
import yaml

import manifests
from manifests import ROOT, base_name, title

COMPONENT = "app.kubernetes.io/component"
SOLVER = {"acme.cert-manager.io/http01-solver": "true"}
VERSIONS = ["1.27", "1.28", "1.29", "1.30", "1.31", "1.32", "1.33", "1.34", "1.35", "1.36"]
CRDS = yaml.safe_load((ROOT / "tests/deploy/crds.yaml").read_text())["kinds"]
KNOWN_SETTINGS = set(re.findall(r"^# ([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.M))
# The keys of the Secret that is not in git.
SECRET_KEYS = set(re.findall(r'echo "([A-Z_]+)=', (ROOT / "scripts/k8s-secrets.sh").read_text()))
TANDEM = "ghcr.io/example/tandem"
# Which port a command of tandem has, and what may be asked there.
PROBES = {"serve": (4001, {"/health", "/ready"}), "worker": (4002, {"/health", "/ready"})}
# The most that a drain may take after DRAIN_SECONDS: what the binary promises.
AFTER_DRAIN = 5

_seen = {}


def schema(build):
    """Every object is what the API server of each version takes, strictly."""
    problems = []
    for doc in build.docs:
        text = json.dumps(doc, sort_keys=True)
        if text not in _seen:
            _seen[text] = list(_schema(doc))
        problems += _seen[text]
    return problems


def _schema(doc):
    kind = f"{doc['apiVersion']}/{doc['kind']}"
    if kind in CRDS:
        whole = {
            "type": "object",
            "required": ["metadata", "spec"],
            "additionalProperties": False,
            "properties": {"apiVersion": {}, "kind": {}, "metadata": {"type": "object", "required": ["name", "namespace"]}, "spec": CRDS[kind]},
        }
        for error in jsonschema.Draft202012Validator(whole).iter_errors(doc):
            yield f"{title(doc)}: {'/'.join(map(str, error.path))}: {error.message}"
        return
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(doc, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{title(doc)} for {version}: {'/'.join(map(str, error.path))}: {error.message}"
        except kubernetes_validate.SchemaNotFoundError as error:
            yield f"{title(doc)}: {error.message}"


def selects(selector, labels):
    if selector is None:
        return False
    if "matchExpressions" in selector:
        raise ValueError("matchExpressions are not understood here")
    wanted = selector.get("matchLabels", {})
    return all(labels.get(key) == value for key, value in wanted.items())


def pods(build):
    """(name of the workload, labels, template)"""
    for doc, template in build.workloads():
        yield doc["metadata"]["name"], template["metadata"]["labels"], template


def selectors(build):
    """What selects finds the pods that it is for, and no others; what is pointed at is there."""
    problems = []
    everything = list(pods(build))
    for doc, template in build.workloads():
        if doc["kind"] == "CronJob":
            continue
        found = {name for name, labels, _ in everything if selects(doc["spec"]["selector"], labels)}
        if found != {doc["metadata"]["name"]}:
            problems.append(f"{title(doc)} selects {sorted(found)}")
    for doc in build.of("Service", "PodDisruptionBudget"):
        selector = {"matchLabels": doc["spec"]["selector"]} if doc["kind"] == "Service" else doc["spec"]["selector"]
        found = [(name, labels, template) for name, labels, template in everything if selects(selector, labels)]
        component = doc["metadata"]["labels"][COMPONENT]
        if not found or any(labels[COMPONENT] != component for _, labels, _ in found):
            problems.append(f"{title(doc)} selects {[name for name, _, _ in found]}")
        for port in doc["spec"].get("ports", []):
            for name, _, template in found:
                names = {p["name"] for c in template["spec"]["containers"] for p in c.get("ports", [])} | {
                    p["containerPort"] for c in template["spec"]["containers"] for p in c.get("ports", [])
                }
                if port["targetPort"] not in names and not str(port["name"]).startswith("relay-"):
                    problems.append(f"{title(doc)}: {name} has no port {port['targetPort']}")
    for doc in build.of("NetworkPolicy"):
        selector = doc["spec"]["podSelector"]
        # Those pods are cert-manager's.
        if selector == {"matchLabels": SOLVER}:
            continue
        if selector and not any(selects(selector, labels) for _, labels, _ in everything):
            problems.append(f"{title(doc)} selects nothing")
    for doc in build.of("ServiceMonitor"):
        found = [s for s in build.of("Service") if selects(doc["spec"]["selector"], s["metadata"]["labels"])]
        if len(found) != 1 or any(e["port"] not in {p["name"] for p in found[0]["spec"]["ports"]} for e in doc["spec"]["endpoints"]):
            problems.append(f"{title(doc)} finds {[title(s) for s in found]}, or no such port")
    for doc in build.of("HorizontalPodAutoscaler"):
        target = doc["spec"]["scaleTargetRef"]
        found = [d for d in build.of(target["kind"]) if d["metadata"]["name"] == target["name"]]
        if not found:
            problems.append(f"{title(doc)} scales nothing")
        elif "replicas" in found[0]["spec"]:
            problems.append(f"{title(doc)} and {title(found[0])} both say how many")
    services = {s["metadata"]["name"]: {p["port"] for p in s["spec"]["ports"]} | {p["name"] for p in s["spec"]["ports"]} for s in build.of("Service")}
    for doc in build.of("StatefulSet"):
        if doc["spec"]["serviceName"] not in services:
            problems.append(f"{title(doc)}: no Service {doc['spec']['serviceName']}")
    for doc, service, port in backends(build):
        if port not in services.get(service, ()):
            problems.append(f"{title(doc)} leads to {service}:{port}, which is not there")
    return problems


def backends(build):
    for doc in build.of("Ingress"):
        for rule in doc["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                service = path["backend"]["service"]
                yield doc, service["name"], next(iter(service["port"].values()))
    for doc in build.of("HTTPRoute"):
        for rule in doc["spec"]["rules"]:
            for ref in rule.get("backendRefs", []):
                yield doc, ref["name"], ref["port"]
    for doc in build.of("VirtualService"):
        for rule in doc["spec"]["http"]:
            for route in rule["route"]:
                yield doc, route["destination"]["host"], route["destination"]["port"]["number"]


def references(build):
    """Every ConfigMap, Secret, key, claim, volume and account that is used exists, and every one that exists is used."""
    problems, used = [], set()
    maps = {doc["metadata"]["name"]: set(doc.get("data", {})) for doc in build.of("ConfigMap")}
    secrets = {doc["metadata"]["name"]: set(doc.get("data", {})) | set(doc.get("stringData", {})) for doc in build.of("Secret")}
    for doc in build.of("ExternalSecret"):
        secrets[doc["spec"]["target"]["name"]] = {entry["secretKey"] for entry in doc["spec"]["data"]}
    if build.overlay != "dev" and not secrets:
        secrets["tandem"] = SECRET_KEYS
    claims = {doc["metadata"]["name"] for doc in build.of("PersistentVolumeClaim")}
    accounts = {doc["metadata"]["name"]: doc for doc in build.of("ServiceAccount")}

    def need(doc, kind, have, name, key=None):
        used.add((kind, name))
        if name not in have:
            problems.append(f"{title(doc)}: there is no {kind} {name}")
        elif key is not None and key not in have[name]:
            problems.append(f"{title(doc)}: {kind} {name} has no {key}")

    for doc, spec, container in build.containers():
        for source in container.get("envFrom", []):
            need(doc, "ConfigMap", maps, source["configMapRef"]["name"])
        for entry in container.get("env", []):
            source = entry.get("valueFrom", {})
            if "configMapKeyRef" in source:
                need(doc, "ConfigMap", maps, source["configMapKeyRef"]["name"], source["configMapKeyRef"]["key"])
            if "secretKeyRef" in source and not source["secretKeyRef"].get("optional"):
                need(doc, "Secret", secrets, source["secretKeyRef"]["name"], source["secretKeyRef"]["key"])
        volumes = {volume["name"] for volume in spec.get("volumes", [])}
        volumes |= {claim["metadata"]["name"] for claim in doc["spec"].get("volumeClaimTemplates", [])}
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in volumes:
                problems.append(f"{title(doc)}: no volume {mount['name']}")
    for doc, template in build.workloads():
        spec = template["spec"]
        for volume in spec.get("volumes", []):
            if "configMap" in volume:
                name = volume["configMap"]["name"]
                need(doc, "ConfigMap", maps, name)
                for item in volume["configMap"].get("items", []):
                    need(doc, "ConfigMap", maps, name, item["key"])
            if "persistentVolumeClaim" in volume:
                need(doc, "PersistentVolumeClaim", dict.fromkeys(claims), volume["persistentVolumeClaim"]["claimName"])
        account = spec.get("serviceAccountName")
        need(doc, "ServiceAccount", accounts, account)
        if spec.get("automountServiceAccountToken") is not False or (account in accounts and accounts[account].get("automountServiceAccountToken") is not False):
            problems.append(f"{title(doc)}: its pods get a token")
        if spec.get("enableServiceLinks") is not False:
            problems.append(f"{title(doc)}: enableServiceLinks would set REDIS_PORT, and TANDEM_ variables that are refused")
    for kind, have in (("ConfigMap", maps), ("Secret", secrets), ("ServiceAccount", accounts), ("PersistentVolumeClaim", claims)):
        for name in have:
            if (kind, name) not in used and name != "dashboard":
                problems.append(f"{kind} {name} is used by nobody")
    return problems


def is_tandem(container):
    return container["image"].startswith(TANDEM + ":") or container["image"].startswith(TANDEM + "@")


def environment(build, container):
    """What the process sees; secrets are stood in for."""
    env = {}
    maps = {doc["metadata"]["name"]: doc.get("data", {}) for doc in build.of("ConfigMap")}
    for source in container.get("envFrom", []):
        env.update(maps.get(source["configMapRef"]["name"], {}))
    for entry in container.get("env", []):
        source = entry.get("valueFrom", {})
        if "configMapKeyRef" in source:
            env[entry["name"]] = maps.get(source["configMapKeyRef"]["name"], {}).get(source["configMapKeyRef"]["key"], "")
        elif source.get("secretKeyRef", {}).get("optional"):
            continue
        elif source:
            env[entry["name"]] = "stands-in-for-a-secret"
        else:
            env[entry["name"]] = entry["value"]
    return env


def settings(build):
    """Every setting that tandem is given is one, and those that a node of a cluster needs are given."""
    problems = []
    for doc, _, container in build.containers():
        if not is_tandem(container):
            continue
        env = environment(build, container)
        for name in sorted(set(env) - KNOWN_SETTINGS):
            problems.append(f"{title(doc)}: tandem has no setting {name}")
        if not env.get("POSTGRES_HOST"):
            problems.append(f"{title(doc)}: no PostgreSQL")
        if container["args"] != ["migrate"] and not (env.get("REDIS_HOST") or env.get("REDIS_URL")):
            problems.append(f"{title(doc)}: no Redis")
        if container["args"] == ["serve"]:
            if not env.get("TANDEM_SECRET"):
                problems.append(f"{title(doc)}: no TANDEM_SECRET")
            if env.get("TURN_URLS") and not env.get("TURN_SECRET"):
                problems.append(f"{title(doc)}: TURN_URLS without TURN_SECRET")
    return problems


def probes(build):
    """Probes ask what is there; liveness looks at nothing else; readiness is what knows of a drain."""
    problems = []
    for doc, _, container in build.containers():
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            probe = container.get(kind)
            if probe is None:
                if is_tandem(container) and container["args"][0] in PROBES:
                    problems.append(f"{title(doc)}: no {kind}")
                continue
            asked = probe.get("httpGet") or probe.get("tcpSocket")
            port = None
            if asked:
                port = ports.get(asked["port"])
                if port is None:
                    problems.append(f"{title(doc)}: {kind} asks port {asked['port']}, which is not there")
            if is_tandem(container):
                number, paths = PROBES[container["args"][0]]
                wanted = {"/ready"} if kind == "readinessProbe" else {"/health"}
                path = probe.get("httpGet", {}).get("path")
                if port != number or path not in paths & wanted:
                    problems.append(f"{title(doc)}: {kind} asks {port}{path}")
    return problems


def grace(build):
    """A pod has the time to stop taking clients, to drain, and to end."""
    problems = []
    for doc, spec, container in build.containers():
        if not is_tandem(container) or container["args"][0] not in PROBES:
            continue
        have = spec.get("terminationGracePeriodSeconds", 30)
        pause = 0
        if container["args"] == ["serve"]:
            command = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", [])
            if command[:2] != ["/usr/local/bin/tandem", "sleep"]:
                problems.append(f"{title(doc)}: nothing waits for the proxies before the drain")
                continue
            pause = int(command[2])
            rolling = doc["spec"]["strategy"]["rollingUpdate"]
            if rolling["maxUnavailable"] != 0:
                problems.append(f"{title(doc)}: a rollout takes nodes away before there are new ones")
            if rolling["maxSurge"] != 1:
                problems.append(f"{title(doc)}: a rollout lets more than one node go at once")
            drain = float(environment(build, container).get("DRAIN_SECONDS", 10))
            if doc["spec"].get("minReadySeconds", 0) < pause + drain + AFTER_DRAIN:
                problems.append(f"{title(doc)}: a node goes while the one before it still drains")
        drain = float(environment(build, container).get("DRAIN_SECONDS", 10))
        if have <= pause + drain + AFTER_DRAIN:
            problems.append(f"{title(doc)}: {have} s to end, but it may need {pause} + {drain} + {AFTER_DRAIN}")
    return problems


def images(build):
    """By tag, never the newest."""
    return [
        f"{title(doc)}: {container['image']} is not pinned"
        for doc, _, container in build.containers()
        if not re.fullmatch(r"[a-z0-9./-]+:v?\d[\w.-]*(@sha256:[0-9a-f]{64})?", container["image"])
    ]


def restricted(build):
    """Pod Security Standard `restricted`, and a root file system that is only read; the namespace enforces it."""
    problems = []
    for doc in build.of("Namespace"):
        for mode in ("enforce", "audit", "warn"):
            if doc["metadata"]["labels"].get(f"pod-security.kubernetes.io/{mode}") != "restricted":
                problems.append(f"{title(doc)}: {mode} is not restricted")
    for doc, template in build.workloads():
        spec = template["spec"]
        pod = spec.get("securityContext", {})
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            if spec.get(key):
                problems.append(f"{title(doc)}: {key}")
        for volume in spec.get("volumes", []):
            kinds = set(volume) - {"name"}
            if not kinds <= {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}:
                problems.append(f"{title(doc)}: volume {kinds}")
        if "sysctls" in pod or pod.get("seLinuxOptions") or pod.get("windowsOptions"):
            problems.append(f"{title(doc)}: sysctls or options of other systems")
        for container in spec.get("initContainers", []) + spec["containers"]:
            own = {**pod, **container.get("securityContext", {})}
            where = f"{title(doc)}/{container['name']}"
            if own.get("runAsNonRoot") is not True or own.get("runAsUser", 1) == 0:
                problems.append(f"{where} may be root")
            if own.get("allowPrivilegeEscalation") is not False:
                problems.append(f"{where} may gain privileges")
            if own.get("privileged") or own.get("procMount", "Default") != "Default":
                problems.append(f"{where} is privileged")
            if own.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
                problems.append(f"{where} has no seccomp profile")
            capabilities = own.get("capabilities", {})
            if "ALL" not in capabilities.get("drop", []) or not set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"}:
                problems.append(f"{where} has capabilities")
            if own.get("readOnlyRootFilesystem") is not True:
                problems.append(f"{where} writes into its image")
            if any("hostPort" in port for port in container.get("ports", [])):
                problems.append(f"{where} takes a port of the machine")
    return problems


SECRET_NAME = re.compile(r"PASSWORD|SECRET|TOKEN|CREDENTIAL", re.I)


def no_secret(build):
    """Nothing that is secret stands in what git has, but for dev."""
    if build.overlay == "dev":
        return []
    problems = [f"{title(doc)} is in git" for doc in build.of("Secret")]
    for doc in build.of("ConfigMap"):
        for key, value in doc.get("data", {}).items():
            if (SECRET_NAME.search(key) and value) or re.search(r"://[^/\s]*:[^/\s@]+@", value):
                problems.append(f"{title(doc)}: {key} looks secret")
    for doc, _, container in build.containers():
        for entry in container.get("env", []):
            if SECRET_NAME.search(entry["name"]) and entry.get("value"):
                problems.append(f"{title(doc)}: {entry['name']} is written out")
    return problems


def quota(build):
    """Everything fits into the namespace's quota at its largest, one pod more of each Deployment while it rolls; nothing is without bounds."""
    problems = []
    hard = next(iter(build.of("ResourceQuota")))["spec"]["hard"]
    most = {doc["spec"]["scaleTargetRef"]["name"]: doc["spec"]["maxReplicas"] for doc in build.of("HorizontalPodAutoscaler")}
    total = dict.fromkeys(("pods", "requests.cpu", "requests.memory", "limits.memory", "requests.storage", "persistentvolumeclaims"), 0.0)
    for doc, template in build.workloads():
        count = most.get(doc["metadata"]["name"], doc["spec"].get("replicas", 1))
        count += doc["kind"] == "Deployment"
        total["pods"] += count
        for claim in doc["spec"].get("volumeClaimTemplates", []):
            total["requests.storage"] += count * amount(claim["spec"]["resources"]["requests"]["storage"])
            total["persistentvolumeclaims"] += count
        for container in template["spec"]["containers"]:
            resources = container.get("resources", {})
            try:
                total["requests.cpu"] += count * amount(resources["requests"]["cpu"])
                total["requests.memory"] += count * amount(resources["requests"]["memory"])
                total["limits.memory"] += count * amount(resources["limits"]["memory"])
            except KeyError as error:
                problems.append(f"{title(doc)}/{container['name']}: no {error}")
    for doc in build.of("PersistentVolumeClaim"):
        total["requests.storage"] += amount(doc["spec"]["resources"]["requests"]["storage"])
        total["persistentvolumeclaims"] += 1
    for name, value in total.items():
        if value > amount(hard[name]):
            problems.append(f"{name}: {value:g} of {amount(hard[name]):g}")
    return problems


def amount(text):
    match = re.fullmatch(r"([\d.]+)([a-zA-Z]*)", str(text))
    return float(match[1]) * {"": 1, "m": 0.001, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}[match[2]]


def namespaces(build):
    """All of it lies in one namespace, and nothing outside."""
    (namespace,) = build.of("Namespace")
    return [
        f"{title(doc)} is in {doc['metadata'].get('namespace')}"
        for doc in build.docs
        if doc["kind"] != "Namespace" and doc["metadata"].get("namespace") != namespace["metadata"]["name"]
    ]


# ---- Who may talk to whom ----

OUTSIDE = {
    "dns": ("kube-system", {"k8s-app": "kube-dns"}),
    "dns-local-pod": ("kube-system", {"k8s-app": "node-local-dns"}),
    "dns-openshift": ("openshift-dns", {"dns.operator.openshift.io/daemonset-dns": "default"}),
    "ingress": ("ingress-nginx", {}),
    "gateway": ("envoy-gateway-system", {}),
    "mesh-gateway": ("istio-system", {"istio": "ingressgateway"}),
    "istiod": ("istio-system", {"app": "istiod"}),
    "prometheus": ("monitoring", {"app.kubernetes.io/name": "prometheus"}),
    "stranger": ("default", {"app": "stranger"}),
}
# Addresses that are no pod's of this cluster; "dns-local" is NodeLocal DNSCache.
INTERNET = {"internet": "203.0.113.9", "internet-6": "2001:db8::9", "cluster-ip": "10.1.2.3", "cluster-ip-6": "fd00::3", "dns-local": "169.254.20.10", "metadata": "169.254.169.254"}
ANYWHERE = set(INTERNET)
PUBLIC = {"internet", "internet-6"}
PORTS = [("TCP", port) for port in (53, 443, 3478, 4001, 4002, 5353, 5432, 6379, 6443, 8089, 15012, 16379, 26379)] + [("UDP", port) for port in (53, 3478, 5353, 49170)]


def wanted_flows(build):
    """The table: (from, to, protocol, port)."""
    has = set(build.components)
    own = {labels[COMPONENT] for _, labels, _ in pods(build)}
    flows = {(who, server, protocol, 53) for who in own for server in ("dns", "dns-local", "dns-local-pod") for protocol in ("UDP", "TCP")}
    flows |= {(who, "dns-openshift", protocol, 5353) for who in own for protocol in ("UDP", "TCP")}
    if "managed" in has:
        flows |= {(who, "pgbouncer", "TCP", 5432) for who in ("node", "worker")}
        flows |= {(who, place, "TCP", 6379) for who in ("node", "worker") for place in ANYWHERE}
        flows |= {(who, place, "TCP", 5432) for who in ("migrate", "worker", "pgbouncer") for place in ANYWHERE}
        # An address that is a pod's is an address: from the sender's side. The receiver's side still refuses it.
    else:
        flows |= {(who, "postgres", "TCP", 5432) for who in ("node", "worker", "migrate", "backup")}
        flows |= {(who, "redis", "TCP", 6379) for who in ("node", "worker")}
    if "redis-sentinel" in has:
        flows |= {(who, "redis", "TCP", 26379) for who in ("node", "worker", "redis")} | {("redis", "redis", "TCP", 6379)}
    if "redis-cluster" in has:
        flows |= {("redis", "redis", "TCP", port) for port in (6379, 16379)}
    flows |= {(door, "node", "TCP", 4001) for component, door in (("gateway-api", "gateway"), ("ingress", "ingress")) if component in has}
    if "mesh" in has:
        flows |= {("mesh-gateway", "node", "TCP", 4001)} | {(who, "istiod", "TCP", 15012) for who in own}
    if "monitoring" in has:
        flows |= {("prometheus", "node", "TCP", 4001), ("prometheus", "worker", "TCP", 4002)}
    if "coturn" in has:
        anybody = set(OUTSIDE) | set(INTERNET)
        flows |= {(who, "coturn", protocol, 3478) for who in anybody for protocol in ("UDP", "TCP")}
        flows |= {(who, "coturn", "UDP", 49170) for who in anybody}
        flows |= {("coturn", place, "UDP", port) for place in PUBLIC for port in (3478, 5353, 49170)}
    return flows


def allowed_flows(build):
    (namespace,) = build.of("Namespace")
    namespace = namespace["metadata"]["name"]
    own = {labels[COMPONENT]: (namespace, labels) for _, labels, _ in pods(build)}
    places = {**own, **OUTSIDE}
    policies = [doc["spec"] for doc in build.of("NetworkPolicy")]

    def peer_is(peer, place):
        if place in INTERNET:
            block = peer.get("ipBlock")
            if not block:
                return False
            address = ipaddress.ip_address(INTERNET[place])
            return address.version == ipaddress.ip_network(block["cidr"]).version and address in ipaddress.ip_network(block["cidr"]) and not any(address in ipaddress.ip_network(other) for other in block.get("except", []))
        if "ipBlock" in peer:
            return False
        where, labels = places[place]
        if "namespaceSelector" in peer:
            if not selects(peer["namespaceSelector"], {"kubernetes.io/metadata.name": where}):
                return False
        elif where != namespace:
            return False
        return selects(peer.get("podSelector", {}), labels)

    def lets(rule, side, place, protocol, port):
        peers = rule.get(side)
        if peers is not None and not any(peer_is(peer, place) for peer in peers):
            return False
        ports = rule.get("ports")
        return ports is None or any(
            entry.get("protocol", "TCP") == protocol and ("port" not in entry or entry["port"] <= port <= entry.get("endPort", entry["port"])) for entry in ports
        )

    def may(direction, place, other, protocol, port):
        about = [policy for policy in policies if direction in policy["policyTypes"] and selects(policy["podSelector"], own[place][1])]
        if not about:
            return True
        key, side = ("egress", "to") if direction == "Egress" else ("ingress", "from")
        return any(lets(rule, side, other, protocol, port) for policy in about for rule in policy.get(key, []))

    everywhere = [*own, *OUTSIDE, *INTERNET]
    flows, half_open = set(), set()
    for source in everywhere:
        for target in everywhere:
            if source not in own and target not in own:
                continue
            for protocol, port in PORTS:
                out = may("Egress", source, target, protocol, port) if source in own else True
                into = may("Ingress", target, source, protocol, port) if target in own else True
                if out and into:
                    flows.add((source, target, protocol, port))
                elif source in own and target in own and (out or into) and target != "coturn":
                    half_open.add((source, target, protocol, port))
    return flows, half_open


def solver_flows(build):
    """Who gets at the pods of cert-manager: those that bring the questions of a certificate authority from outside."""
    doors = {"gateway-api": "envoy-gateway-system", "ingress": "ingress-nginx", "mesh": "istio-system"}
    wanted = {(namespace, 8089) for component, namespace in doors.items() if component in build.components}
    have = set()
    for doc in build.of("NetworkPolicy"):
        spec = doc["spec"]
        if spec["podSelector"] == {"matchLabels": SOLVER} and spec["policyTypes"] == ["Ingress"]:
            for rule in spec["ingress"]:
                for peer in rule.get("from", [{}]):
                    for port in rule.get("ports", [{}]):
                        have.add((peer.get("namespaceSelector", {}).get("matchLabels", {}).get("kubernetes.io/metadata.name"), port.get("port")))
    return wanted, have


def certificates(build):
    """cert-manager's own pods are reached from the way in, and from nowhere else."""
    wanted, have = solver_flows(build)
    return [f"solver from {flow} is not let through" for flow in wanted - have] + [f"solver from {flow} is let through" for flow in have - wanted]


def network(build):
    """Exactly the flows of the table, and between our pods neither end is open without the other."""
    wanted, (allowed, half_open) = wanted_flows(build), allowed_flows(build)
    return [f"{' '.join(map(str, flow))} is not let through" for flow in sorted(wanted - allowed, key=str)] + [
        f"{' '.join(map(str, flow))} is let through" for flow in sorted(allowed - wanted, key=str)
    ] + [f"{' '.join(map(str, flow))} is open at one end" for flow in sorted(half_open, key=str)]


# ---- What the overlays are ----

SIZES = {
    "dev": {"nodes": 1, "workers": 1, "log": "debug", "cpu": "50m", "memory": "64Mi"},
    "staging": {"nodes": 2, "workers": 2, "log": "info", "cpu": "250m", "memory": "256Mi"},
    "prod": {"nodes": None, "workers": 2, "log": "warn", "cpu": "1", "memory": "1Gi"},
}


def sizes(build):
    """Each overlay is as large as it should be; prod grows from 5 to 20, by metrics that every cluster with a metrics server has, and has Sentinel."""
    problems = []
    size = SIZES[build.overlay]
    wanted_metrics = [("cpu", 70), ("memory", 80)] + [("tandem_connections", None)] * ("autoscale-sockets" in build.components)
    scaled = {doc["spec"]["scaleTargetRef"]["name"]: doc for doc in build.of("HorizontalPodAutoscaler")}
    nodes = [doc for doc in build.of("Deployment") if doc["metadata"]["labels"][COMPONENT] == "node"]
    if len(nodes) != (2 if "bluegreen" in build.components else 1):
        problems.append(f"{len(nodes)} Deployments of nodes")
    for doc in nodes:
        (container,) = doc["spec"]["template"]["spec"]["containers"]
        have = {
            "nodes": doc["spec"].get("replicas"),
            "log": environment(build, container)["LOG_LEVEL"],
            "cpu": container["resources"]["requests"]["cpu"],
            "memory": container["resources"]["requests"]["memory"],
        }
        for key, value in have.items():
            wanted = size[key]
            if key == "nodes" and (build.overlay == "prod" or {"autoscale", "autoscale-bluegreen"} & set(build.components)):
                wanted = None
            if str(value) != str(wanted):
                problems.append(f"{title(doc)}: {key} is {value}, not {wanted}")
        if build.overlay == "prod":
            scale = scaled.get(doc["metadata"]["name"])
            if not scale:
                problems.append(f"{title(doc)} does not grow")
                continue
            spec = scale["spec"]
            targets = sorted(
                (metric.get("resource", {}).get("name") or metric["pods"]["metric"]["name"], (metric.get("resource") or metric["pods"])["target"].get("averageUtilization"))
                for metric in spec["metrics"]
            )
            if (spec["minReplicas"], spec["maxReplicas"]) != (5, 20) or targets != wanted_metrics:
                problems.append(f"{title(scale)}: {targets}")
            down = spec["behavior"]["scaleDown"]
            if down["stabilizationWindowSeconds"] < 600 or down["policies"] != [{"type": "Pods", "value": 1, "periodSeconds": 300}]:
                problems.append(f"{title(scale)} goes down fast")
    redis = build.get("StatefulSet", "redis")["spec"]["replicas"] if build.has("StatefulSet", "redis") else None
    if build.overlay != "dev" and redis == 1:
        problems.append("one Redis, which takes everything with it")
    if build.get("Deployment", "worker")["spec"]["replicas"] != size["workers"]:
        problems.append("workers")
    return problems

# ---- What was missing in the world ----

BARE = {"v1", "apps/v1", "batch/v1", "autoscaling/v2", "policy/v1", "networking.k8s.io/v1"}


def bare(build):
    """An overlay as it is in git needs nothing that an empty cluster does not have."""
    if "+" in build.name:
        return []
    return [f"{title(doc)} is of {doc['apiVersion']}" for doc in build.docs if doc["apiVersion"] not in BARE]


def data(build):
    """Every container of tandem may write into /data, its working directory, as the user that it is."""
    problems = []
    for doc, spec, container in build.containers():
        if not is_tandem(container):
            continue
        volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
        mounts = {mount["mountPath"]: mount for mount in container.get("volumeMounts", [])}
        where = f"{title(doc)}/{container['name']}"
        if "emptyDir" not in volumes.get(mounts.get("/data", {}).get("name"), {}) or mounts["/data"].get("readOnly"):
            problems.append(f"{where} has no /data of its own")
        elif spec["securityContext"].get("fsGroup") != spec["securityContext"].get("runAsGroup"):
            problems.append(f"{where} cannot write into /data")
    return problems


def spread(build):
    """Pods are spread over machines where that can be, each colour by itself, and none waits for ever for a machine of its own."""
    problems = []
    for doc, template in build.workloads():
        spec = template["spec"]
        affinity = spec.get("affinity", {}).get("podAntiAffinity", {})
        if affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or any(rule["whenUnsatisfiable"] != "ScheduleAnyway" for rule in spec.get("topologySpreadConstraints", [])):
            problems.append(f"{title(doc)} waits for a machine of its own")
        if template["metadata"]["labels"][COMPONENT] == "node":
            over = {rule["topologyKey"]: rule for rule in spec.get("topologySpreadConstraints", [])}
            for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone"):
                if over.get(key, {}).get("matchLabelKeys") != ["pod-template-hash"]:
                    problems.append(f"{title(doc)} is not spread by release over {key}")
        elif doc["kind"] != "CronJob" and doc["spec"].get("replicas", 1) > 1:
            own = [term["podAffinityTerm"]["labelSelector"] for term in affinity.get("preferredDuringSchedulingIgnoredDuringExecution", [])]
            if not any(selects(selector, template["metadata"]["labels"]) for selector in own):
                problems.append(f"{title(doc)}: its pods may all be on one machine")
    return problems


def budgets(build):
    """Whatever has more than one pod loses one at a time when machines are drained; nothing keeps a machine from being drained."""
    problems = []
    scaled = {doc["spec"]["scaleTargetRef"]["name"] for doc in build.of("HorizontalPodAutoscaler")}
    for doc in build.of("PodDisruptionBudget"):
        spec = doc["spec"]
        if spec.get("maxUnavailable") != 1 or "minAvailable" in spec or spec.get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
            problems.append(f"{title(doc)} may keep a machine from being drained")
    for doc in build.of("Deployment", "StatefulSet"):
        labels = doc["spec"]["template"]["metadata"]["labels"]
        found = [b for b in build.of("PodDisruptionBudget") if selects(b["spec"]["selector"], labels)]
        many = doc["metadata"]["name"] in scaled or doc["spec"].get("replicas", 1) > 1
        if len(found) > 1 or (many and not found):
            problems.append(f"{title(doc)} has {len(found)} budgets")
    return problems


def most_pods(build, doc):
    """How many pods of a Deployment there can be at once, while it rolls."""
    scaled = {d["spec"]["scaleTargetRef"]["name"]: d["spec"]["maxReplicas"] for d in build.of("HorizontalPodAutoscaler")}
    return scaled.get(doc["metadata"]["name"], doc["spec"].get("replicas", 1)) + 1


def connections(build):
    """PostgreSQL (or each PgBouncer) takes the connections of every pod that there can be at once, and 10 more for migrations, backup and people."""
    wanted = 0
    for doc in build.of("Deployment"):
        for container in doc["spec"]["template"]["spec"]["containers"]:
            if is_tandem(container):
                wanted += most_pods(build, doc) * int(environment(build, container).get("POSTGRES_POOL_SIZE", 4))
    # Two colours may come to every overlay.
    if "bluegreen" not in build.components:
        wanted += sum(most_pods(build, d) * 4 for d in build.of("Deployment") if d["metadata"]["labels"][COMPONENT] == "node")
    if build.has("StatefulSet", "postgres"):
        (container,) = build.get("StatefulSet", "postgres")["spec"]["template"]["spec"]["containers"]
        have = next((int(arg.split("=")[1]) for arg in container.get("args", []) if arg.startswith("max_connections=")), 100) - 10
    else:
        have = int(re.search(r"^default_pool_size = (\d+)", build.get("ConfigMap", "pgbouncer")["data"]["pgbouncer.ini"], re.M)[1])
    return [f"{wanted} connections of {have}"] if wanted > have else []


ARGUED = re.compile(r"(?:exec|redis-server|redis-cli|redis-sentinel|turnserver|psql|pg_dump|pgbouncer)\b.*(?<!>)\$\{?\w*(?:PASSWORD|SECRET)")


def arguments(build):
    """No secret is an argument of a process, where whoever lists processes sees it."""
    problems = []
    for doc, _, container in build.containers():
        for part in container.get("command", []) + container.get("args", []):
            if re.search(r"\$\(\w*(?:PASSWORD|SECRET)\w*\)", part) or any(ARGUED.search(line) for line in part.splitlines()):
                problems.append(f"{title(doc)}/{container['name']}: {part}")
    for doc in build.of("ConfigMap"):
        for key, text in doc.get("data", {}).items():
            if key.endswith(".sh"):
                problems += [f"{title(doc)}: {key}: {line}" for line in text.splitlines() if not line.startswith("#") and ARGUED.search(line)]
    return problems


def families(build):
    """Everything listens, and is let through, on IPv6 as on IPv4."""
    problems = []
    for doc in build.of("ConfigMap"):
        for key, text in doc.get("data", {}).items():
            if key != "tandem.json" and re.search(r"(^|[\s=])0\.0\.0\.0([\s:]|$)", text):
                problems.append(f"{title(doc)}: {key} listens on IPv4 only")
    for doc in build.of("NetworkPolicy"):
        for rule in doc["spec"].get("egress", []):
            blocks = {peer["ipBlock"]["cidr"] for peer in rule.get("to", []) if "ipBlock" in peer}
            if ("0.0.0.0/0" in blocks) != ("::/0" in blocks):
                problems.append(f"{title(doc)} lets one family out")
    return problems


def memory(build):
    """Redis' maxmemory leaves room for its forks, its clients' buffers and its replicas."""
    if not build.has("StatefulSet", "redis"):
        return []
    size = re.search(r"^maxmemory (\d+)(mb|gb)$", build.get("ConfigMap", "redis")["data"]["size.conf"], re.M)
    limit = next(c for c in build.get("StatefulSet", "redis")["spec"]["template"]["spec"]["containers"] if c["name"] == "redis")["resources"]["limits"]["memory"]
    have = int(size[1]) * {"mb": 2**20, "gb": 2**30}[size[2]]
    return [f"maxmemory {size[0]} in {limit}"] if have > 0.6 * amount(limit) else []


def hosts(build):
    """Whoever is asked for the way in is asked for the host of PUBLIC_URL."""
    host = build.get("ConfigMap", "tandem")["data"]["PUBLIC_URL"].split("/")[2]
    have = {rule["host"] for doc in build.of("Ingress") for rule in doc["spec"]["rules"]} | {name for doc in build.of("Ingress") for tls in doc["spec"]["tls"] for name in tls["hosts"]}
    have |= {listener.get("hostname") for doc in build.of("Gateway") for listener in doc["spec"]["listeners"]}
    return [f"{name}, not {host}" for name in have - {host}]


def logs(build):
    """No log of a way in has the address that was asked for: PINs and tokens are in it."""
    problems = []
    for doc in build.of("Ingress"):
        if doc["metadata"]["annotations"].get("nginx.ingress.kubernetes.io/enable-access-log") != "false":
            problems.append(f"{title(doc)} is logged with its queries")
    named = {doc["spec"].get("infrastructure", {}).get("parametersRef", {}).get("name") for doc in build.of("Gateway")}
    proxies = {doc["metadata"]["name"]: doc["spec"] for doc in build.of("EnvoyProxy")}
    for name in named:
        settings = proxies.get(name, {}).get("telemetry", {}).get("accessLog", {}).get("settings")
        if not settings or any("PATH" in str(entry.get("format", "PATH")).upper().replace("'PATH'", "") for entry in [{"format": s.get("format", "PATH")} for s in settings]):
            problems.append(f"Gateway: {name} logs the path")
    if build.of("VirtualService") and not any(entry.get("disabled") for doc in build.of("Telemetry") for entry in doc["spec"]["accessLogging"]):
        problems.append("the mesh logs the path")
    return problems


def monitors(build):
    """kube-prometheus-stack sees what has its label, and nothing else."""
    return [f"{title(doc)} has no label for kube-prometheus-stack" for doc in build.of("ServiceMonitor", "PrometheusRule") if doc["metadata"]["labels"].get("release") != "kube-prometheus-stack"]


RULES = [schema, selectors, references, settings, probes, grace, images, restricted, no_secret, quota, namespaces, network, certificates, sizes, bare, data, spread, budgets, connections, arguments, families, memory, hosts, logs, monitors]


# ---- What they must find ----


def _node(build):
    return build.get("Deployment", "node")["spec"]["template"]["spec"]


def _container(build):
    return _node(build)["containers"][0]


def _policy(build, name):
    return build.get("NetworkPolicy", name)["spec"]


def _config(build):
    return build.get("ConfigMap", "tandem")["data"]


def _worker(build):
    return build.get("Deployment", "worker")["spec"]["template"]["spec"]


def _redis(build):
    return next(c for c in build.get("StatefulSet", "redis")["spec"]["template"]["spec"]["containers"] if c["name"] == "redis")


def _log_format(build):
    return build.get("EnvoyProxy", "tandem")["spec"]["telemetry"]["accessLog"]["settings"][0]["format"]


def _drop(build, kind, name):
    build.docs.remove(build.get(kind, name))


# rule: [(what is broken, how)], done to prod, which is right; or to the combination that stands third.
BROKEN = {
    schema: [
        ("a field that does not exist", lambda b: _container(b).update(imagePullPolice="Always")),
        ("a number for a text", lambda b: _config(b).update(PORT=4001)),
        ("a kind that nobody knows", lambda b: b.get("Service", "node").update(kind="Servise")),
        ("an API that is gone", lambda b: b.get("PodDisruptionBudget", "node").update(apiVersion="policy/v1beta1")),
        ("a misspelt field of a ServiceMonitor", lambda b: b.get("ServiceMonitor", "node")["spec"]["endpoints"][0].update(intervall="15s"), "prod+monitoring"),
    ],
    selectors: [
        ("a Service that finds nothing", lambda b: b.get("Service", "node")["spec"]["selector"].update({COMPONENT: "nodes"})),
        ("a Service that finds everything", lambda b: b.get("Service", "node")["spec"]["selector"].pop(COMPONENT)),
        ("a Deployment that takes another's pods", lambda b: b.get("Deployment", "node")["spec"]["selector"]["matchLabels"].pop(COMPONENT)),
        ("a port that no pod has", lambda b: b.get("Service", "node")["spec"]["ports"][0].update(targetPort="web")),
        ("an Ingress to nowhere", lambda b: b.get("Ingress", "node")["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"].update(name="nodes"), "prod+ingress"),
        ("a route to nowhere", lambda b: b.get("HTTPRoute", "node")["spec"]["rules"][0]["backendRefs"][0].update(name="nodes"), "prod+gateway-api"),
        ("an autoscaler of nothing", lambda b: b.get("HorizontalPodAutoscaler", "node")["spec"]["scaleTargetRef"].update(name="tandem")),
        ("two that say how many nodes", lambda b: b.get("Deployment", "node")["spec"].update(replicas=3)),
        ("a monitor that finds no Service", lambda b: b.get("ServiceMonitor", "worker")["spec"]["selector"]["matchLabels"].update({COMPONENT: "w"}), "prod+monitoring"),
        ("a policy for nobody", lambda b: _policy(b, "backup")["podSelector"]["matchLabels"].update({COMPONENT: "backups"})),
    ],
    references: [
        ("a ConfigMap without its hash", lambda b: _container(b)["envFrom"][0]["configMapRef"].update(name="tandem")),
        ("a key that the Secret does not have", lambda b: _container(b)["env"][1]["valueFrom"]["secretKeyRef"].update(key="SECRET")),
        ("a volume that is not there", lambda b: _container(b)["volumeMounts"][0].update(name="dat")),
        ("an account that is not there", lambda b: _node(b).update(serviceAccountName="nobody")),
        ("a token in the pod", lambda b: _node(b).pop("automountServiceAccountToken")),
        ("variables of Services", lambda b: _node(b).pop("enableServiceLinks")),
        ("a ConfigMap that nobody uses", lambda b: b.docs.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "spare"}})),
    ],
    settings: [
        ("a setting that tandem does not have", lambda b: _config(b).update(MAX_CONNECTION="1")),
        ("a node without Redis", lambda b: _config(b).update(REDIS_HOST="", REDIS_URL="")),
        ("a node without the secret of all nodes", lambda b: _container(b)["env"].pop(1)),
        ("TURN without its secret", lambda b: _config(b).update(TURN_URLS="turn:turn.example.org")),
    ],
    probes: [
        ("a path that is not there", lambda b: _container(b)["livenessProbe"]["httpGet"].update(path="/healthz")),
        ("liveness that asks for Redis", lambda b: _container(b)["livenessProbe"]["httpGet"].update(path="/ready")),
        ("readiness that knows of no drain", lambda b: _container(b)["readinessProbe"]["httpGet"].update(path="/health")),
        ("a port that is not there", lambda b: _container(b)["startupProbe"]["httpGet"].update(port="web")),
        ("another's port", lambda b: _container(b)["ports"][0].update(containerPort=4002)),
        ("no readiness", lambda b: _container(b).pop("readinessProbe")),
    ],
    grace: [
        ("too little time", lambda b: _node(b).update(terminationGracePeriodSeconds=20)),
        ("a drain that is too long", lambda b: _config(b).update(DRAIN_SECONDS="25")),
        ("no pause before the drain", lambda b: _container(b).pop("lifecycle")),
        ("a rollout that takes away first", lambda b: b.get("Deployment", "node")["spec"]["strategy"]["rollingUpdate"].update(maxUnavailable=1)),
        ("a rollout of two at a time", lambda b: b.get("Deployment", "node")["spec"]["strategy"]["rollingUpdate"].update(maxSurge=2)),
        ("drains that overlap", lambda b: b.get("Deployment", "node")["spec"].pop("minReadySeconds")),
    ],
    images: [
        ("the newest", lambda b: _container(b).update(image="ghcr.io/example/tandem:latest")),
        ("none", lambda b: _container(b).update(image="ghcr.io/example/tandem")),
    ],
    restricted: [
        ("root", lambda b: _node(b)["securityContext"].update(runAsUser=0)),
        ("no word on root", lambda b: _node(b)["securityContext"].pop("runAsNonRoot")),
        ("gaining privileges", lambda b: _container(b)["securityContext"].pop("allowPrivilegeEscalation")),
        ("a capability", lambda b: _container(b)["securityContext"]["capabilities"].update(add=["NET_ADMIN"])),
        ("no seccomp", lambda b: _node(b)["securityContext"].pop("seccompProfile")),
        ("the machine's network", lambda b: _node(b).update(hostNetwork=True)),
        ("the machine's files", lambda b: _node(b)["volumes"].append({"name": "host", "hostPath": {"path": "/"}})),
        ("a root file system that is written", lambda b: _container(b)["securityContext"].update(readOnlyRootFilesystem=False)),
        ("a namespace that enforces nothing", lambda b: b.get("Namespace", "tandem")["metadata"]["labels"].pop("pod-security.kubernetes.io/enforce")),
    ],
    no_secret: [
        ("a Secret in git", lambda b: b.docs.append({"kind": "Secret", "metadata": {"name": "tandem"}, "data": {"TANDEM_SECRET": "aHVzaA=="}})),
        ("a password in a ConfigMap", lambda b: _config(b).update(REDIS_PASSWORD="hush")),
        ("a password in an address", lambda b: _config(b).update(DATABASE_URL="postgres://tandem:hush@db/tandem")),
        ("a password in a pod", lambda b: _container(b)["env"].append({"name": "POSTGRES_PASSWORD", "value": "hush"})),
    ],
    quota: [
        ("a quota that is too small", lambda b: b.get("ResourceQuota", "tandem")["spec"]["hard"].update({"requests.cpu": "10"})),
        ("no bound on memory", lambda b: _container(b)["resources"].pop("limits")),
    ],
    namespaces: [("something in another namespace", lambda b: b.get("Service", "node")["metadata"].update(namespace="default"))],
    network: [
        ("no default deny", lambda b: _drop(b, "NetworkPolicy", "default-deny")),
        ("no DNS", lambda b: _drop(b, "NetworkPolicy", "dns")),
        ("nodes that reach everything", lambda b: _policy(b, "node").update(egress=[{}])),
        ("PostgreSQL for everybody here", lambda b: _policy(b, "postgres")["ingress"][0].update({"from": [{"podSelector": {}}]})),
        ("PostgreSQL for every namespace", lambda b: _policy(b, "postgres")["ingress"][0].update({"from": [{"namespaceSelector": {}}]})),
        ("a worker without Redis", lambda b: _policy(b, "worker")["egress"].pop(0)),
        ("a port that is wrong", lambda b: _policy(b, "redis")["ingress"][0]["ports"][0].update(port=6380)),
        ("a node that nobody may ask for metrics", lambda b: _drop(b, "NetworkPolicy", "node-from-prometheus"), "prod+monitoring"),
        ("no NodeLocal DNSCache", lambda b: _policy(b, "dns")["egress"][0]["to"].pop(1)),
        ("no DNS on OpenShift", lambda b: _policy(b, "dns")["egress"].pop(1)),
        ("a node for every pod in the ingress controller's cluster", lambda b: _policy(b, "node-from-ingress")["ingress"][0].pop("from"), "prod+ingress"),
    ],
    sizes: [
        ("debug logs in prod", lambda b: _config(b).update(LOG_LEVEL="debug")),
        ("one Redis", lambda b: b.get("StatefulSet", "redis")["spec"].update(replicas=1)),
        ("a metric that not every cluster has", lambda b: b.get("HorizontalPodAutoscaler", "node")["spec"]["metrics"].append({"type": "Pods", "pods": {"metric": {"name": "tandem_connections"}, "target": {"type": "AverageValue", "averageValue": "20000"}}})),
        ("a fast way down", lambda b: b.get("HorizontalPodAutoscaler", "node")["spec"]["behavior"]["scaleDown"].update(stabilizationWindowSeconds=60)),
    ],
    certificates: [
        ("cert-manager's pods behind a closed door", lambda b: _drop(b, "NetworkPolicy", "solver-from-gateway"), "prod+gateway-api"),
        ("the same with an Ingress", lambda b: _drop(b, "NetworkPolicy", "solver-from-ingress"), "prod+ingress"),
        ("cert-manager's pods for everybody", lambda b: _policy(b, "solver-from-gateway")["ingress"][0].pop("from"), "prod+gateway-api"),
    ],
    bare: [("a kind that an empty cluster has not", lambda b: b.docs.append({"apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor", "metadata": {"name": "x"}}))],
    data: [
        ("a worker without /data", lambda b: _worker(b)["containers"][0].pop("volumeMounts")),
        ("a migration without /data", lambda b: _worker(b)["initContainers"][0].pop("volumeMounts")),
        ("the mould of migrations without /data", lambda b: b.get("CronJob", "migrate")["spec"]["jobTemplate"]["spec"]["template"]["spec"].pop("volumes")),
        ("a /data that is root's", lambda b: _worker(b)["securityContext"].pop("fsGroup")),
    ],
    spread: [
        ("a node that waits for a machine", lambda b: _node(b).update(affinity={"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{}]}})),
        ("a node that waits for an even spread", lambda b: _node(b)["topologySpreadConstraints"][1].update(whenUnsatisfiable="DoNotSchedule")),
        ("nodes that are not spread", lambda b: _node(b)["topologySpreadConstraints"].pop(1)),
        ("colours that are counted together", lambda b: b.get("Deployment", "node-blue")["spec"]["template"]["spec"]["topologySpreadConstraints"][1].pop("matchLabelKeys"), "prod+bluegreen"),
        ("three Redis on one machine", lambda b: b.get("StatefulSet", "redis")["spec"]["template"]["spec"].pop("affinity")),
    ],
    budgets: [
        ("nodes without a budget", lambda b: _drop(b, "PodDisruptionBudget", "node")),
        ("Redis without a budget", lambda b: _drop(b, "PodDisruptionBudget", "redis")),
        ("a budget that lets nothing go", lambda b: b.get("PodDisruptionBudget", "redis")["spec"].update(maxUnavailable=0)),
        ("a budget that sick pods use up", lambda b: b.get("PodDisruptionBudget", "node")["spec"].pop("unhealthyPodEvictionPolicy")),
    ],
    connections: [
        ("PostgreSQL as it comes", lambda b: b.get("StatefulSet", "postgres")["spec"]["template"]["spec"]["containers"][0].pop("args")),
        ("pools that are too large", lambda b: _config(b).update(POSTGRES_POOL_SIZE="8")),
        ("a PgBouncer that is too small", lambda b: b.get("ConfigMap", "pgbouncer")["data"].update({"pgbouncer.ini": "default_pool_size = 100"}), "prod+managed"),
    ],
    arguments: [
        ("a password in an argument", lambda b: _redis(b).update(args=["--requirepass", "$(REDIS_PASSWORD)"])),
        ("the same in a script", lambda b: b.get("ConfigMap", "redis-sentinel")["data"].update({"redis.sh": 'exec redis-server --requirepass "$REDIS_PASSWORD"'})),
        ("coturn's secret in an argument", lambda b: b.get("Deployment", "coturn")["spec"]["template"]["spec"]["containers"][0]["args"].append("--static-auth-secret=$(TURN_SECRET)"), "prod+coturn"),
    ],
    families: [
        ("a node on IPv4 only", lambda b: _config(b).update(HOST="0.0.0.0")),
        ("a PgBouncer on IPv4 only", lambda b: b.get("ConfigMap", "pgbouncer")["data"].update({"pgbouncer.ini": "listen_addr = 0.0.0.0"}), "prod+managed"),
        ("a policy for IPv4 only", lambda b: _policy(b, "node-managed")["egress"][0]["to"].pop(1), "prod+managed"),
    ],
    memory: [("a Redis that fills its pod", lambda b: b.get("ConfigMap", "redis")["data"].update({"size.conf": "maxmemory 4gb"}))],
    hosts: [
        ("a gateway for another host", lambda b: b.get("Gateway", "tandem")["spec"]["listeners"][1].update(hostname="example.com"), "prod+gateway-api"),
        ("an Ingress for another host", lambda b: b.get("Ingress", "node")["spec"]["rules"][0].update(host="example.com"), "prod+ingress"),
    ],
    logs: [
        ("an Ingress that logs queries", lambda b: b.get("Ingress", "node")["metadata"]["annotations"].pop("nginx.ingress.kubernetes.io/enable-access-log"), "prod+ingress"),
        ("a gateway that logs as it comes", lambda b: _drop(b, "EnvoyProxy", "tandem"), "prod+gateway-api"),
        ("a gateway that logs paths", lambda b: _log_format(b)["json"].update(path="%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"), "prod+gateway-api"),
        ("a mesh that logs paths", lambda b: _drop(b, "Telemetry", "tandem"), "prod+mesh"),
    ],
    monitors: [("a monitor without the label", lambda b: b.get("ServiceMonitor", "node")["metadata"]["labels"].pop("release"), "prod+monitoring")],
}


def across(builds):
    """Overlays may live in one cluster: their namespaces and hosts differ."""
    problems, seen = [], {}
    for build in builds:
        names = [doc["metadata"]["name"] for doc in build.of("Namespace")]
        names.append(build.get("ConfigMap", "tandem")["data"]["PUBLIC_URL"])
        for name in names:
            if name in seen:
                problems.append(f"{build.name} and {seen[name]} both have {name}")
            seen[name] = build.name
    return problems
