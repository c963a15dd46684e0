"""The scripts that touch a database, on a real PostgreSQL: the move from the Node server, backup and restore."""

import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]

OLD = """
CREATE TABLE rooms (id varchar(50) PRIMARY KEY, host_user_id varchar(100), current_url text, "current_time" float DEFAULT 0,
    is_playing bool DEFAULT false, guest_control_enabled bool DEFAULT false, created_at timestamp DEFAULT now(), updated_at timestamp DEFAULT now(), archived_at timestamp);
CREATE TABLE users (id varchar(100) PRIMARY KEY, room_id varchar(50), username varchar(50), "current_time" float, is_playing bool,
    connection_quality varchar(20), last_heartbeat timestamp, created_at timestamp DEFAULT now(), updated_at timestamp DEFAULT now());
CREATE TABLE room_events (id serial PRIMARY KEY, room_id varchar(50), event_type varchar(50), user_id varchar(100), data jsonb, created_at timestamp DEFAULT now());
INSERT INTO rooms (id, host_user_id, current_url, "current_time", is_playing) VALUES ('film', 'ana', 'https://example.org/a,"b"', 12.5, true), ('alive', 'ben', NULL, NULL, NULL);
INSERT INTO users (id, room_id, username) VALUES ('ana', 'film', E'An\\na "A", x'), ('ben', 'alive', NULL), ('lost', NULL, 'l');
INSERT INTO room_events (room_id, event_type, user_id, data, created_at)
    SELECT 'film', 'PLAY', CASE WHEN n % 2 = 0 THEN 'ana' END, CASE WHEN n % 3 = 0 THEN '{"a": "b\\\\n,\\""}'::jsonb END, now() - n * interval '9 days' FROM generate_series(1, 100) n;
"""


class Postgres:
    """A server of its own, on a socket in a directory of its own."""

    def __init__(self, bin_directory):
        self.bin = bin_directory
        self.directory = tempfile.mkdtemp(prefix="tandem-pg-")
        # PostgreSQL does not run as root.
        self.become = []
        if os.geteuid() == 0:
            pwd.getpwnam("postgres")
            self.become = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
            shutil.chown(self.directory, "postgres")
        self._own("initdb", "-D", f"{self.directory}/data", "-U", "tandem", "--auth=trust", "-N", "-E", "UTF8")
        self._own("pg_ctl", "-D", f"{self.directory}/data", "-w", "-l", f"{self.directory}/log", "-o",
                  f"-c listen_addresses='' -c unix_socket_directories={self.directory} -c fsync=off", "start")  # fmt: skip
        self.env = {**os.environ, "PGHOST": self.directory, "PGUSER": "tandem", "PATH": f"{self.bin}:{os.environ['PATH']}"}

    def _own(self, program, *arguments):
        subprocess.run([*self.become, f"{self.bin}/{program}", *arguments], check=True, stdout=subprocess.DEVNULL, cwd="/tmp")

    def url(self, database):
        return f"postgres:///{database}?host={self.directory}&user=tandem"

    def sql(self, database, text):
        done = subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", self.url(database)], input=text, text=True, env=self.env, capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout.strip()

    def run(self, *command, **env):
        return subprocess.run(command, env={**self.env, **env}, text=True, capture_output=True, check=False)

    def stop(self):
        self._own("pg_ctl", "-D", f"{self.directory}/data", "-m", "immediate", "stop")
        shutil.rmtree(self.directory, ignore_errors=True)


def bin_directory():
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb")) if not shutil.which("initdb") else [pathlib.Path(shutil.which("initdb"))]
    return str(found[-1].parent) if found else None


def tell(check, skip):
    schema = sorted((ROOT / "schema/postgres").glob("*.sql"))
    if not schema or not bin_directory():
        skip("the scripts on a real PostgreSQL", "there is no schema/postgres" if not schema else "PostgreSQL is not installed")
        return
    postgres = Postgres(bin_directory())
    try:
        postgres.sql("postgres", "CREATE DATABASE old; CREATE DATABASE new; CREATE DATABASE again;")
        postgres.sql("old", OLD)
        for file in schema:
            postgres.sql("new", file.read_text())
        # tandem is running already, and knows better what ana's room is.
        postgres.sql("new", "INSERT INTO rooms (id, current_url, created_at, updated_at, epoch, version, position_at_ms) VALUES ('film', 'tandem', now(), now(), 5, 7, 0)")
        move = str(ROOT / "scripts/migrate-from-node.sh")
        first = postgres.run(move, postgres.url("old"), postgres.url("new"), KEEP_MONTHS="0")
        counts = "SELECT (SELECT count(*) FROM rooms), (SELECT count(*) FROM users), (SELECT count(*) FROM room_events)"
        check("the move from the Node server copies everything", first.returncode == 0 and postgres.sql("new", counts) == "2|2|100", first.stdout + first.stderr)
        check("what tandem wrote is untouched", postgres.sql("new", "SELECT current_url, version FROM rooms WHERE id = 'film'") == "tandem|7")
        check("old rooms are closed", postgres.sql("new", "SELECT count(*) FROM rooms WHERE archived_at IS NULL AND epoch = 0") == "0")
        whole = "SELECT md5(string_agg(%s, '|' ORDER BY created_at)) FROM room_events"
        same = postgres.sql("old", "SET TimeZone = 'UTC'; " + whole % "event_type || coalesce(user_id, 'server') || coalesce(data, '{}')::text || (created_at::timestamptz)::text")
        check("word for word", postgres.sql("new", "SET TimeZone = 'UTC'; " + whole % "event_type || user_id || data::text || created_at::text") == same)
        postgres.sql("old", "INSERT INTO room_events (room_id, event_type) VALUES ('film', 'LATE')")
        second = postgres.run(move, postgres.url("old"), postgres.url("new"), KEEP_MONTHS="0")
        check("a second run brings only what is new", second.returncode == 0 and postgres.sql("new", counts) == "2|2|101", second.stderr)
        early = postgres.run(move, postgres.url("old"), postgres.url("again"))
        check("a move into a database without tables says what to do", early.returncode == 65 and "tandem migrate" in early.stderr, early.stderr)
        for file in schema:
            postgres.sql("again", file.read_text())
        third = postgres.run(move, postgres.url("old"), postgres.url("again"))
        kept = int(postgres.sql("again", "SELECT count(*) FROM room_events"))
        check("with a retention, older events stay behind", third.returncode == 0 and 30 < kept < 60, f"{kept} {third.stderr}")

        dumps = pathlib.Path(postgres.directory) / "dumps"
        dumps.mkdir()
        old = dumps / "tandem-20200101T000000Z.dump"
        old.touch()
        os.utime(old, (0, 0))
        backup = postgres.run("sh", str(ROOT / "k8s/base/backup.sh"), PGDATABASE="new", BACKUP_DIR=str(dumps))
        made = list(dumps.glob("tandem-*.dump"))
        check("a backup is made, and one that is too old goes", backup.returncode == 0 and len(made) == 1 and not old.exists(), backup.stderr)
        restore = str(ROOT / "scripts/restore.sh")
        refused = postgres.run(restore, str(made[0]), PGDATABASE="again")
        check("a restore over a full database is refused", refused.returncode == 1 and "--replace" in refused.stderr, refused.stderr)
        replaced = postgres.run(restore, "--replace", str(made[0]), PGDATABASE="again")
        check("and done when asked for", replaced.returncode == 0 and postgres.sql("again", counts) == "2|2|101", replaced.stderr)
        postgres.sql("postgres", "CREATE DATABASE empty")
        restored = postgres.run(restore, str(made[0]), PGDATABASE="empty")
        check("a restore into an empty database", restored.returncode == 0 and postgres.sql("empty", counts) == "2|2|101", restored.stderr)
        broken = made[0].with_name("broken.dump")
        broken.write_bytes(made[0].read_bytes()[: made[0].stat().st_size // 2])
        half = postgres.run(restore, "--replace", str(broken), PGDATABASE="again")
        check("half a dump replaces nothing", half.returncode != 0 and postgres.sql("again", counts) == "2|2|101", half.stdout)
        full = postgres.run("sh", str(ROOT / "k8s/base/backup.sh"), PGDATABASE="nowhere", BACKUP_DIR=str(dumps))
        check("a backup that fails leaves nothing, and says so", full.returncode != 0 and not list(dumps.glob("*.part")), full.stderr)
    finally:
        postgres.stop()
