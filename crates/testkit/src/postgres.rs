use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    certificates::Certificates,
    process::{Process, free_port, program, wait_for},
};

/// The directories of PostgreSQL on Debian, which are not in PATH.
fn elsewhere() -> Vec<String> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions.map(|version| version.path().join("bin").to_str().unwrap().to_owned()).collect()
}

fn find(name: &str) -> PathBuf {
    let mut dirs = elsewhere();
    dirs.push("/usr/sbin".to_owned());
    program(name, &dirs.iter().map(String::as_str).collect::<Vec<_>>())
}

fn is_root() -> bool {
    String::from_utf8(Command::new("id").arg("-u").output().unwrap().stdout).unwrap().trim() == "0"
}

/// PostgreSQL does not run as root: there it runs as the user that its package made.
pub(crate) fn command(name: &str) -> Command {
    let found = find(name);
    if !is_root() {
        return Command::new(found);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(found);
    command
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

pub(crate) fn give_away(dir: &Path) {
    if is_root() {
        run(Command::new("chown").arg("-R").arg("postgres:postgres").arg(dir));
    }
}

/// An empty cluster, made once by each test binary: the rest are copies of it.
fn template() -> &'static Path {
    static TEMPLATE: OnceLock<TempDir> = OnceLock::new();
    let dir = TEMPLATE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        give_away(dir.path());
        let data = dir.path().join("data");
        run(command("initdb")
            .current_dir("/")
            .args(["--auth=trust", "--no-sync", "--username=tandem", "-E", "UTF8", "--locale=C", "-D"])
            .arg(data));
        dir
    });
    dir.path()
}

/// A PostgreSQL server with a database `tandem` of the user `tandem`, who may do anything.
#[derive(Debug)]
pub struct Postgres {
    port: u16,
    dir: TempDir,
    args: Vec<String>,
    process: Process,
}

impl Postgres {
    pub fn start() -> Self {
        Self::on(free_port())
    }

    pub fn on(port: u16) -> Self {
        let mut postgres = Self::prepare(port, &[]);
        postgres.create_database();
        postgres
    }

    /// With TLS only, and a certificate for `localhost` from its own authority: see [`Postgres::ca`].
    pub fn with_tls() -> Self {
        let mut postgres = Self::prepare(free_port(), &[]);
        postgres.create_database();
        postgres.stop();
        let dir = postgres.dir.path().to_owned();
        let made = Certificates::of_names(&dir, "DNS:localhost");
        give_away(&dir);
        run(Command::new("chmod").arg("600").arg(&made.key));
        std::fs::write(dir.join("data/pg_hba.conf"), "local all all trust\nhostssl all all all trust\n").unwrap();
        postgres.args = [
            "-c".to_owned(),
            "ssl=on".to_owned(),
            "-c".to_owned(),
            format!("ssl_cert_file={}", made.certificate),
            "-c".to_owned(),
            format!("ssl_key_file={}", made.key),
        ]
        .into();
        postgres.restart();
        postgres
    }

    fn prepare(port: u16, args: &[String]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        run(Command::new("cp").arg("-a").arg(template().join("data")).arg(dir.path()));
        give_away(dir.path());
        // The test itself goes in and out, too.
        run(Command::new("chmod").arg("755").arg(dir.path()));
        let args = args.to_vec();
        let process = spawn(port, &dir, &args);
        let postgres = Self { port, dir, args, process };
        postgres.wait();
        postgres
    }

    fn create_database(&mut self) {
        self.sql_in("postgres", "CREATE DATABASE tandem");
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("postgres://tandem@127.0.0.1:{}/tandem", self.port)
    }

    /// The authority that has signed for it.
    pub fn ca(&self) -> String {
        self.dir.path().join("ca.pem").to_str().unwrap().to_owned()
    }

    fn wait(&self) {
        wait_for("PostgreSQL does not answer", || answers(self.port));
        wait_for("PostgreSQL takes no statements", || self.psql("postgres", "SELECT 1").is_ok());
    }

    /// Replaces the lines of pg_hba.conf. Through the Unix socket everything stays allowed.
    pub fn admit(&self, lines: &str) {
        let file = self.dir.path().join("data/pg_hba.conf");
        std::fs::write(&file, format!("local all all trust\n{lines}\n")).unwrap();
        self.sql_in("postgres", "SELECT pg_reload_conf()");
        let errors = "SELECT count(*) FROM pg_hba_file_rules WHERE error IS NOT NULL";
        assert_eq!(self.sql_in("postgres", errors), "0", "{lines}");
    }

    /// Ends the sessions of tandem, as an operator or a failover does.
    pub fn cut(&self) {
        let tandem = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tandem'";
        self.sql_in("postgres", tandem);
    }

    /// Runs a statement. Returns one line for each row, with bars between columns.
    pub fn sql(&self, sql: &str) -> String {
        self.sql_in("tandem", sql)
    }

    pub fn number(&self, sql: &str) -> i64 {
        self.sql(sql).parse().unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Runs this in a session of its own, which ends when the returned value is dropped.
    pub fn session(&self, sql: &str) -> Process {
        let mut command = Command::new(find("psql"));
        command.args(["-X", "-q", "-U", "tandem", "-d", "tandem", "-h"]).arg(self.dir.path());
        command.args(["-p", &self.port.to_string(), "-c", sql]);
        Process::start(&mut command, &self.dir.path().join("session"))
    }

    pub fn sql_in(&self, database: &str, sql: &str) -> String {
        self.psql(database, sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    fn psql(&self, database: &str, sql: &str) -> Result<String, String> {
        let output = Command::new(find("psql"))
            .args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-U", "tandem", "-d", database, "-h"])
            .arg(self.dir.path())
            .args(["-p", &self.port.to_string(), "-c", sql])
            .env("PGCONNECT_TIMEOUT", "30")
            .output()
            .unwrap();
        if output.status.success() {
            Ok(String::from_utf8(output.stdout).unwrap().trim_end().to_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Stops all its processes until [`Postgres::resume`]: clients get no answers, and their connections stay open.
    pub fn pause(&self) {
        self.signal_all("STOP");
    }

    pub fn resume(&self) {
        self.signal_all("CONT");
    }

    fn signal_all(&self, name: &str) -> Vec<String> {
        let pid = std::fs::read_to_string(self.dir.path().join("data/postmaster.pid")).unwrap();
        let pid = pid.lines().next().unwrap().to_owned();
        let signal = |name: &str, id: &str| {
            let _ = Command::new("kill").arg(format!("-{name}")).arg(id).status();
        };
        // The first of them all makes no more meanwhile.
        signal("STOP", &pid);
        let children = Command::new("ps").args(["-o", "pid=", "--ppid", &pid]).output().unwrap();
        let children = String::from_utf8(children.stdout).unwrap();
        let all: Vec<_> = children.split_whitespace().map(str::to_owned).chain([pid]).collect();
        for id in &all {
            signal(name, id);
        }
        all
    }

    /// Ends all sessions, at once and in order.
    pub fn stop(&mut self) {
        self.process.signal("INT");
        wait_for("PostgreSQL does not stop", || !self.process.is_running());
    }

    /// Kills all its processes with SIGKILL.
    pub fn kill(&mut self) {
        let all = self.signal_all("KILL");
        self.process.kill();
        // Its memory is in use until the last of them is gone.
        wait_for("PostgreSQL's processes do not end", || !all.iter().any(|id| runs(id)));
    }

    /// Restarts as a standby without a primary, until `pg_promote()`.
    pub fn demote(&mut self) {
        self.stop();
        let signal = self.dir.path().join("data/standby.signal");
        std::fs::write(&signal, "").unwrap();
        give_away(&signal);
        self.restart();
    }

    pub fn restart(&mut self) {
        self.process = spawn(self.port, &self.dir, &self.args);
        self.wait();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.dir.path().join("data/postmaster.pid").exists() && self.process.is_running() {
            self.resume();
            // Immediate shutdown: its children go with it, and its shared memory.
            self.process.signal("QUIT");
            for _ in 0..500 {
                if !self.process.is_running() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

/// Whether there is such a process, and not only its name in the table.
fn runs(id: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(id).join("stat"));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')))
}

/// A server that is paused accepts connections, too: it has to say something.
fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
    // SSLRequest; the answer is one letter.
    let asked = stream.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]);
    asked.is_ok() && stream.read(&mut [0]).is_ok_and(|length| length == 1)
}

fn spawn(port: u16, dir: &TempDir, args: &[String]) -> Process {
    let mut command = command("postgres");
    let path = dir.path();
    command.current_dir("/").arg("-D").arg(path.join("data")).arg("-k").arg(path).args(["-p", &port.to_string()]);
    command
        .args(["-h", "127.0.0.1", "-c", "fsync=off", "-c", "max_connections=50", "-c", "shared_buffers=32MB"])
        .args(args);
    Process::start(&mut command, &path.join("log"))
}
