"""A node and a worker of a cluster, as a real Prometheus sees them with the configuration of docker-compose.yml."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import yaml

import database

ROOT = pathlib.Path(__file__).resolve().parents[2]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(url, **headers):
    """Status, type and body; a status of 0 without an answer."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=5) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, "", ""
    except OSError:
        return 0, "", ""


def wait(until, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if until():
            return True
        time.sleep(0.1)
    return False


def healths(port):
    """Of each job of this Prometheus: whether its targets are up, and why not."""
    _, _, body = get(f"http://127.0.0.1:{port}/api/v1/targets?state=active")
    targets = json.loads(body)["data"]["activeTargets"] if body else []
    return {target["labels"]["job"]: (target["health"], target["lastError"]) for target in targets}


def tell(check, skip, binary):
    tools = ("prometheus", "promtool", "redis-server")
    if not pathlib.Path(binary).exists() or not all(map(shutil.which, tools)) or not database.bin_directory():
        skip("what Prometheus makes of a node and a worker", f"that needs {binary}, {', '.join(tools)} and PostgreSQL")
        return
    running = []
    postgres = database.Postgres(database.bin_directory())
    with tempfile.TemporaryDirectory() as scratch:
        def start(name, *command, **env):
            log = open(f"{scratch}/{name}.log", "w")
            running.append(subprocess.Popen(command, env={"PATH": os.environ["PATH"], **env}, cwd=scratch, stdout=log, stderr=log))

        try:
            redis, node, worker, prometheus = (free_port() for _ in range(4))
            start("redis", "redis-server", "--port", str(redis), "--bind", "127.0.0.1", "--save", "")
            postgres.sql("postgres", "CREATE DATABASE tandem")
            settings = {"REDIS_URL": f"redis://127.0.0.1:{redis}", "DATABASE_URL": postgres.url("tandem"), "TANDEM_DATA_DIR": scratch, "HOST": "127.0.0.1"}
            check("the tables are made", subprocess.run([binary, "migrate"], env={"PATH": os.environ["PATH"], **settings}, capture_output=True, cwd=scratch, check=False).returncode == 0)
            start("node", binary, "serve", PORT=str(node), TANDEM_SECRET="a-secret-of-a-test-for-prometheus", **settings)
            start("worker", binary, "worker", WORKER_PORT=str(worker), **settings)
            for name, port in (("node", node), ("worker", worker)):
                if not wait(lambda port=port: get(f"http://127.0.0.1:{port}/ready")[0] == 200):
                    check(f"the {name} is ready", False, pathlib.Path(scratch, f"{name}.log").read_text()[-1500:])
                    return
                for asked in ({}, {"Accept": "text/plain"}, {"Accept": "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"}):
                    _, kind, body = get(f"http://127.0.0.1:{port}/metrics", **asked)
                    done = subprocess.run(["promtool", "check", "metrics"], input=body, text=True, capture_output=True, check=False)
                    check(f"promtool takes the metrics of a {name} for {asked or 'no Accept'}", kind.startswith("text/plain; version=0.0.4") and done.returncode == 0, f"{kind} {(done.stdout + done.stderr)[-2000:]}")
            config = yaml.safe_load((ROOT / "compose/prometheus.yml").read_text())
            ports = {"tandem-node": node, "tandem-worker": worker}
            for job in config["scrape_configs"]:
                # Names of services are known to compose only.
                job.pop("dns_sd_configs", None)
                job["static_configs"] = [{"targets": [f"127.0.0.1:{ports[job['job_name']]}"]}]
            config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s"}
            config["rule_files"] = []
            pathlib.Path(scratch, "prometheus.yml").write_text(yaml.safe_dump(config))
            start("prometheus", "prometheus", f"--config.file={scratch}/prometheus.yml", f"--storage.tsdb.path={scratch}/tsdb", f"--web.listen-address=127.0.0.1:{prometheus}")
            up = {job: ("up", "") for job in ports}
            check("a real Prometheus sees both as up", wait(lambda: healths(prometheus) == up), healths(prometheus))
        finally:
            for process in running:
                process.kill()
                process.wait()
            postgres.stop()
