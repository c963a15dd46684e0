"""A Docker engine of the test's own, with Docker Compose, in the network namespace that this process runs in."""

import json
import os
import pathlib
import resource
import shutil
import subprocess
import tempfile
import time

import stand_ins


def compose_program(venv):
    """The real one; the package's own command hides its exit code."""
    return str(next(iter((venv / "lib").rglob("compose/docker-compose"))))


class Engine:
    def __init__(self, directory, venv):
        self.directory = directory
        self.compose_program = compose_program(venv)
        self.tar = directory / "images.tar"
        # A path of a socket may not be long.
        self.short = tempfile.mkdtemp(prefix="tandem-image-")
        self.env = {**os.environ, "DOCKER_HOST": f"unix://{self.short}/docker.sock", "DOCKER_CONFIG": self.short}
        self.files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        self.daemon = None

    def __enter__(self):
        program = shutil.which("dockerd", path=os.environ["PATH"] + ":/usr/sbin")
        if not program:
            raise stand_ins.Missing("dockerd is missing (Debian: apt-get install docker.io)")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        log = open(self.directory / "dockerd.log", "w")
        limit = min(self.files, 1048576)
        self.daemon = subprocess.Popen(
            [program, "--data-root", self.directory / "docker", "--exec-root", f"{self.short}/exec", "--pidfile", f"{self.short}/pid",
             "--host", f"unix://{self.short}/docker.sock", "--default-ulimit", f"nofile={limit}:{limit}"], stdout=log, stderr=log)  # fmt: skip
        for _ in range(600):
            if subprocess.run(["docker", "version"], env=self.env, capture_output=True, check=False).returncode == 0:
                self.clear()
                return self
            if self.daemon.poll() is not None:
                break
            time.sleep(0.1)
        raise RuntimeError(f"the Docker engine did not start: {(self.directory / 'dockerd.log').read_text()[-2000:]}")

    def clear(self):
        """Nothing stays of this run, or of one that was killed: everything here is this test's."""
        names = self.try_docker("ps", "--all", "--quiet").stdout.split()
        if names:
            self.try_docker("rm", "--force", "--volumes", *names)
        self.try_docker("network", "prune", "--force")
        volumes = self.try_docker("volume", "ls", "--quiet").stdout.split()
        if volumes:
            self.try_docker("volume", "rm", "--force", *volumes)

    def __exit__(self, *_):
        self.clear()
        self.daemon.terminate()
        self.daemon.wait(60)
        shutil.rmtree(self.short, ignore_errors=True)

    def try_docker(self, *arguments, **more):
        return subprocess.run(["docker", *map(str, arguments)], env=self.env, text=True, capture_output=True, check=False, **more)

    def docker(self, *arguments, **more):
        done = self.try_docker(*arguments, **more)
        if done.returncode:
            raise RuntimeError(f"docker {' '.join(map(str, arguments))}: {done.stderr[-2000:]}{done.stdout[-1000:]}")
        return done.stdout.strip()

    def load(self, store, images):
        """`images` of the store, under the same names. Those that are there already stay."""
        missing = []
        for image in images:
            wanted = store.run("podman", "image", "inspect", "--format", "{{.Id}}", stand_ins.local(image))
            has = self.try_docker("image", "inspect", "--format", "{{.Id}}", image).stdout.strip().removeprefix("sha256:")
            if has != wanted:
                missing.append(image)
        if missing:
            self.bring(store, missing)

    def bring(self, store, missing):
        self.tar.unlink(missing_ok=True)
        store.run("podman", "save", "--quiet", "--format", "docker-archive", "--multi-image-archive", "--output", self.tar, *map(stand_ins.local, missing))
        self.docker("load", "--quiet", "--input", self.tar)
        self.tar.unlink()
        for image in missing:
            if stand_ins.local(image) != image:
                self.docker("tag", stand_ins.local(image), image)

    def inspect(self, name, what):
        return json.loads(self.docker("inspect", "--format", "{{json " + what + "}}", name))

    def health(self, name):
        return self.try_docker("inspect", "--format", "{{.State.Health.Status}}", name).stdout.strip()


class Project:
    """docker-compose.yml and what it mounts, in a directory of its own: its .env is none of this tree's."""

    def __init__(self, engine, directory, root, files):
        self.engine, self.directory = engine, directory
        for name in files:
            target = directory / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, target)
        self.env = {**engine.env, "COMPOSE": engine.compose_program, "COMPOSE_FILE": "docker-compose.yml:override.yml", "COMPOSE_ANSI": "never"}
        for name in ("SITE", "NODES", "IMAGE", "COMPOSE_PROFILES"):
            self.env.pop(name, None)
        # Limits of files that this machine does not give.
        lines = ["services:"]
        for service, wanted in (("edge", 131072), ("node", 65536), ("node-blue", 65536), ("node-green", 65536), ("haproxy", 262144)):
            if wanted > engine.files:
                lines.append(f"  {service}: {{ulimits: {{nofile: {engine.files}}}}}")
        (directory / "override.yml").write_text("\n".join(lines) + ("\n" if len(lines) > 1 else " {}\n"))

    def run(self, *command, **more):
        return subprocess.run([str(part) for part in command], cwd=self.directory, env={**self.env, **more.pop("env", {})}, text=True, capture_output=True, check=False, **more)

    def compose(self, *arguments, **more):
        done = self.run(self.engine.compose_program, *arguments, **more)
        if done.returncode:
            raise RuntimeError(f"docker compose {' '.join(arguments)}: {done.stderr[-3000:]}")
        return done.stdout.strip()

    def names(self, service):
        return self.compose("--profile", "*", "ps", "--format", "{{.Name}}", service).split()

    def healthy(self, service, count=1):
        names = self.names(service)
        return len(names) == count and all(self.engine.health(name) == "healthy" for name in names)

    def setting(self, name):
        lines = (self.directory / ".env").read_text().splitlines()
        return next((line.split("=", 1)[1] for line in lines if line.startswith(f"{name}=")), None)

    def set(self, **settings):
        file = self.directory / ".env"
        lines = [line for line in file.read_text().splitlines() if line.split("=")[0] not in settings]
        file.write_text("\n".join(lines + [f"{name}={value}" for name, value in settings.items()]) + "\n")
