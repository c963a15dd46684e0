"""Images of others, under the names that Dockerfile, docker-compose.yml and k8s/ use: pulled where a registry can be reached, else made here.

A stand-in has Debian's package of the same program, with the official image's user, folders, stop signal and entry point. Where packages come
from is what this machine's apt says; the compiler is this machine's own. What is made is kept, and made anew when the lines here that make it change.
"""

import hashlib
import inspect
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
RELEASE = "bookworm"
PACKAGES = "ca-certificates postgresql redis-server redis-sentinel haproxy caddy coturn prometheus pgbouncer wget netcat-openbsd procps"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Missing(Exception):
    """Something that this machine does not have."""


class Store:
    """buildah and podman, with a storage of their own under `directory`."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        files = {
            "storage.conf": f'[storage]\ndriver = "overlay"\ngraphroot = "{directory}/storage"\nrunroot = "{directory}/run"\n',
            # Limits may not be raised everywhere, and there may be no systemd.
            "containers.conf": '[containers]\ndefault_ulimits = ["nofile=19000:19000", "nproc=4096:4096"]\n[engine]\ncgroup_manager = "cgroupfs"\n'
            f'events_logger = "file"\nruntime = "{"runc" if shutil.which("runc") else "crun"}"\n',
            "policy.json": '{"default": [{"type": "insecureAcceptAnything"}]}\n',
        }
        for name, text in files.items():
            (directory / name).write_text(text)
        # podman's notes have the path of the storage in them, and go first: in a tree that was moved or copied it would look where it was before.
        notes = directory / "storage/libpod/bolt_state.db"
        if notes.exists() and f"{directory}/storage".encode() not in notes.read_bytes():
            notes.unlink()
        self.env = {
            **os.environ,
            "CONTAINERS_STORAGE_CONF": f"{directory}/storage.conf",
            "CONTAINERS_CONF": f"{directory}/containers.conf",
            "BUILDAH_ISOLATION": "chroot",
        }

    def run(self, *command, **more):
        done = subprocess.run([str(part) for part in command], env=self.env, text=True, capture_output=True, check=False, **more)
        if done.returncode:
            raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr[-3000:]}{done.stdout[-1000:]}")
        return done.stdout.strip()

    def has(self, image):
        return subprocess.run(["buildah", "inspect", "--type", "image", image], env=self.env, capture_output=True, check=False).returncode == 0

    def label(self, image):
        """Of a stand-in: what it was made from."""
        if not self.has(image):
            return None
        return self.run("buildah", "inspect", "--type", "image", "--format", '{{index .OCIv1.Config.Labels "made-from"}}', image)

    def pull(self, image):
        done = subprocess.run(["buildah", "pull", "--quiet", image], env=self.env, capture_output=True, check=False, timeout=900)
        return done.returncode == 0


def local(image):
    """A short name means the same as this one, where nothing is asked for over the network."""
    first, *rest = image.split("/")
    return image if rest and "." in first else f"localhost/{image}"


def sources():
    """What apt of this machine has of RELEASE: address, suite, component."""
    form = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    lines = subprocess.run(["apt-get", "indextargets", "--format", form, "Created-By: Packages"], text=True, capture_output=True, check=True).stdout
    found = sorted({tuple(line.split()) for line in lines.splitlines() if re.match(rf"{RELEASE}\b", (line.split() + ["", ""])[1])})
    base = [address for address, suite, component in found if suite == RELEASE and component == "main"]
    if not base:
        raise Missing(f"no image can be pulled, and apt of this machine knows no {RELEASE} to make one from")
    return base[0], found


def root_file_system(store, say):
    """Debian, with what this machine needs to reach Debian."""
    root = store.directory / "rootfs"
    if (root / "etc/apt/sources.list").exists() and (root / "ready").exists():
        return root
    if not shutil.which("debootstrap"):
        raise Missing("no image can be pulled, and debootstrap is missing to make one (Debian: apt-get install debootstrap)")
    address, found = sources()
    say("Debian, by debootstrap")
    subprocess.run(["rm", "-rf", "--one-file-system", root], check=True)
    store.run("debootstrap", "--variant=minbase", "--include=ca-certificates", RELEASE, root, address)
    (root / "etc/apt/sources.list").write_text("".join(f"deb {address} {suite} {component}\n" for address, suite, component in found if component == "main"))
    for file in pathlib.Path("/etc/apt/apt.conf.d").glob("99*"):
        shutil.copy(file, root / "etc/apt/apt.conf.d")
    own = pathlib.Path("/usr/local/share/ca-certificates")
    if own.is_dir():
        shutil.copytree(own, root / "usr/local/share/ca-certificates", dirs_exist_ok=True)
    store.run("chroot", root, "update-ca-certificates")
    (root / "ready").touch()
    return root


def commit(store, container, image, made_from, *config):
    store.run("buildah", "config", "--label", f"made-from={made_from}", *config, container)
    store.run("buildah", "commit", "--quiet", "--rm", container, local(image))


def install(store, container, *packages):
    """With this machine's network, and as root."""
    command = f"apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends {' '.join(packages)} && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin"
    store.run("buildah", "run", "--network", "host", container, "--", "sh", "-c", f"printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d; {command}")


def compiler(store, image, made_from, say):
    """The Rust image: this machine's toolchain of the same version, on Debian."""
    version = re.search(r":(\d+\.\d+\.\d+)", image)[1]
    have = subprocess.run(["rustc", f"+{version}", "--version"], text=True, capture_output=True, check=False, cwd="/")
    pick = [f"+{version}"] if have.returncode == 0 else []
    said = subprocess.run(["rustc", *pick, "--version"], text=True, capture_output=True, check=False, cwd="/").stdout
    if f" {version} " not in said:
        raise Missing(f"{image} cannot be pulled, and rustc {version} is not on this machine to make it from (it has {said.strip() or 'none'})")
    toolchain = pathlib.Path(subprocess.run(["rustc", *pick, "--print", "sysroot"], text=True, capture_output=True, check=True, cwd="/").stdout.strip())
    say(f"{image}, from this machine's {said.strip()}")
    container = store.run("buildah", "from", "scratch")
    store.run("buildah", "add", "--quiet", container, root_file_system(store, say), "/")
    install(store, container, "gcc", "libc6-dev")
    mount = pathlib.Path(store.run("buildah", "mount", container))
    target = mount / "usr/local/rust"
    shutil.copytree(toolchain, target, symlinks=True, ignore=lambda at, names: [n for n in names if (at.endswith("/share") and n == "doc") or (at.endswith("/rustlib") and n == "src")])
    store.run("buildah", "umount", container)
    commit(store, container, image, made_from, "--env", "CARGO_HOME=/usr/local/cargo", "--env", f"PATH=/usr/local/cargo/bin:/usr/local/rust/bin:{PATH}", "--env", f"RUST_VERSION={version}", "--cmd", "bash")


# What each official image does before it starts its program, as far as compose and Kubernetes count on it.
ENTRY = {
    "postgres": r"""
data=${PGDATA:-/var/lib/postgresql/data}
case ${1:-} in postgres | -*) ;; *) exec "$@" ;; esac
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$data"; chown -R postgres "$data"; chmod 700 "$data"
    exec setpriv --reuid postgres --regid postgres --init-groups env HOME=/var/lib/postgresql "$0" "$@"
fi
if [ ! -s "$data/PG_VERSION" ]; then
    file=$(mktemp); printf '%s' "$POSTGRES_PASSWORD" >"$file"
    eval "initdb -D '$data' --username='${POSTGRES_USER:-postgres}' --pwfile='$file' --encoding=UTF8 ${POSTGRES_INITDB_ARGS:-}"; rm "$file"
    printf '\nhost all all all scram-sha-256\n' >>"$data/pg_hba.conf"
    pg_ctl -D "$data" -o "-c listen_addresses='' -c unix_socket_directories=/tmp" -w start
    psql -v ON_ERROR_STOP=1 -h /tmp -U "${POSTGRES_USER:-postgres}" -d postgres -c "CREATE DATABASE \"${POSTGRES_DB:-postgres}\"" || [ "${POSTGRES_DB:-postgres}" = postgres ]
    for script in /docker-entrypoint-initdb.d/*.sql; do [ ! -f "$script" ] || psql -v ON_ERROR_STOP=1 -h /tmp -U "$POSTGRES_USER" -d "$POSTGRES_DB" -f "$script"; done
    for script in /docker-entrypoint-initdb.d/*.sh; do [ ! -f "$script" ] || PGHOST=/tmp bash "$script"; done
    pg_ctl -D "$data" -m fast -w stop
fi
[ "${1:-}" = postgres ] && shift
exec postgres -D "$data" -c listen_addresses='*' "$@"
""",
    "redis": r"""
case ${1:-} in -* | *.conf) set -- redis-server "$@" ;; esac
case $1 in redis-server | redis-sentinel)
    if [ "$(id -u)" = 0 ]; then
        find . \! -user redis -exec chown redis '{}' +
        exec setpriv --reuid redis --regid redis --init-groups "$0" "$@"
    fi
    if [ "$1" = redis-server ]; then shift; case ${1:-} in *.conf) file=$1; shift ;; esac; set -- redis-server ${file:+"$file"} --protected-mode no "$@"; fi ;;
esac
exec "$@"
""",
    "haproxy": r"""
case ${1:-} in -*) set -- haproxy "$@" ;; esac
if [ "$1" = haproxy ]; then shift; set -- haproxy -W -db "$@"; fi
exec "$@"
""",
    "coturn": 'case ${1:-} in -*) set -- turnserver "$@" ;; esac\nexec "$@"\n',
}
PROGRAMS = {
    "caddy": ["--cmd", '["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]', "--env", "XDG_CONFIG_HOME=/config", "--env", "XDG_DATA_HOME=/data", "--workingdir", "/srv"],
    "haproxy": ["--cmd", '["haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]', "--user", "haproxy", "--workingdir", "/var/lib/haproxy", "--stop-signal", "SIGUSR1"],
    "postgres": ["--cmd", '["postgres"]', "--env", "PGDATA=/var/lib/postgresql/data", "--volume", "/var/lib/postgresql/data", "--stop-signal", "SIGINT"],
    "redis": ["--cmd", '["redis-server"]', "--volume", "/data", "--workingdir", "/data"],
    "coturn": ["--user", "nobody:nogroup", "--cmd", '["--log-file=stdout"]', "--volume", "/var/lib/coturn"],
    "prometheus": ["--entrypoint", '["/usr/bin/prometheus"]', "--cmd", '["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]', "--user", "nobody", "--volume", "/prometheus", "--workingdir", "/prometheus"],
}  # fmt: skip
# What is different in the files of one. Both call their entry point by this name.
SHAPES = {
    "redis": "chown redis:redis /data; ln -sf redis-entrypoint.sh /usr/local/bin/docker-entrypoint.sh",
    "postgres": "ln -sf postgres-entrypoint.sh /usr/local/bin/docker-entrypoint.sh",
}
# The users and groups of the official images, where files or manifests count on them, and their folders.
USERS = """
set -e
groupmod -o -g 70 postgres; usermod -o -u 70 -g 70 postgres
groupmod -o -g 1000 redis; usermod -o -u 999 -g 1000 redis
groupmod -o -g 99 haproxy; usermod -o -u 99 -g 99 haproxy
mkdir -p /data /config /srv /etc/caddy /prometheus /var/lib/haproxy /usr/local/etc/haproxy /var/lib/postgresql/data /var/lib/coturn /var/run/postgresql /etc/prometheus
chown -R postgres:postgres /var/lib/postgresql /var/run/postgresql; chmod 3777 /var/run/postgresql
chown haproxy:haproxy /var/lib/haproxy; chown nobody /prometheus /var/lib/coturn
ln -sf /usr/lib/postgresql/*/bin/* /usr/local/bin/
rm -f /etc/redis/redis.conf; chmod 755 /etc/redis
# The official image's Caddy may bind low ports.
command -v setcap >/dev/null && setcap cap_net_bind_service=+ep /usr/bin/caddy || true
"""


def services(store, say):
    """One file system with all programs: images of it differ in how they start."""
    base, made_from = "tandem-test/services", digest(root_file_system, install, services, PACKAGES, USERS, ENTRY)
    if store.label(local(base)) == made_from:
        return local(base)
    say("Debian's PostgreSQL, Redis, Caddy, HAProxy, coturn and Prometheus")
    container = store.run("buildah", "from", "scratch")
    store.run("buildah", "add", "--quiet", container, root_file_system(store, say), "/")
    install(store, container, PACKAGES, "libcap2-bin")
    with tempfile.TemporaryDirectory() as scratch:
        for name, text in ENTRY.items():
            file = pathlib.Path(scratch, name)
            file.write_text(f"#!/bin/bash\nset -e\n{text}")
            file.chmod(0o755)
            store.run("buildah", "copy", "--quiet", container, file, f"/usr/local/bin/{name}-entrypoint.sh")
    store.run("buildah", "run", container, "--", "sh", "-c", USERS)
    commit(store, container, base, made_from)
    return local(base)


def digest(*parts):
    """Of functions by their lines, of everything else by its value."""
    lines = [inspect.getsource(part) if inspect.isfunction(part) else repr(part) for part in parts]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def program(image):
    return image.split("@")[0].split(":")[0].split("/")[-1]


def get(store, image, say):
    """`image` is in the store under that name; what it is."""
    name = program(image)
    if name == "rust":
        made_from = digest(root_file_system, install, compiler)
    else:
        made_from = digest(root_file_system, install, services, PACKAGES, USERS, ENTRY, PROGRAMS.get(name), SHAPES.get(name))
    if store.label(local(image)) == made_from:
        return "made here before"
    if store.has(local(image)) and not store.label(local(image)):
        return "pulled before"
    # A stand-in answers to the short name, too: then nothing was pulled.
    if store.pull(image) and not store.label(local(image)):
        store.run("podman", "tag", image, local(image))
        return "pulled"
    if name == "rust":
        compiler(store, image, made_from, say)
    elif name in PROGRAMS:
        container = store.run("buildah", "from", "--pull-never", services(store, say))
        config = PROGRAMS[name]
        if name in ENTRY:
            config = ["--entrypoint", f'["/usr/local/bin/{name}-entrypoint.sh"]', *config]
        if name in SHAPES:
            store.run("buildah", "run", container, "--", "sh", "-c", SHAPES[name])
        commit(store, container, image, made_from, "--env", f"PATH={PATH}", *config)
    else:
        raise Missing(f"{image} cannot be pulled, and there is no stand-in for it")
    return "made here"
