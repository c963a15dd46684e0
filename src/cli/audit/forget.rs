use std::{
    fs::{File, TryLockError},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use tokio::time::{Instant, sleep};

use super::ask;
use crate::{
    auth::Keys,
    backend::{Connector, Layout, Remains},
    cli::USAGE,
    clock,
    config::{LedgerConfig, PostgresConfig, RedisConfig},
    id::{RoomId, UserId},
    ledger::{Database, Erased, LocalLedger, Person},
    node::load_secret,
};

/// How often the queue is looked at while a worker empties it.
const LOOK: Duration = Duration::from_millis(250);
/// The pause before the tables are looked at once more: a worker may have had an entry in hand.
const SETTLE: Duration = Duration::from_secs(2);
/// How often that is done at most.
const PASSES: usize = 5;

/// What Redis has of a person, and where.
#[derive(Debug, Default)]
struct Found {
    rooms: Vec<String>,
    seated: Vec<String>,
    named: Vec<String>,
    queued: u64,
}

#[derive(Debug, Args)]
pub(super) struct Forget {
    #[command(flatten)]
    ledger: LedgerConfig,
    #[command(flatten)]
    postgres: PostgresConfig,
    #[command(flatten)]
    redis: RedisConfig,
    /// Id of the user to erase
    #[arg(long, value_parser = |id: &str| UserId::parse(id))]
    user: UserId,
    /// Erase; without this, only what would be erased is counted
    #[arg(long)]
    yes: bool,
    /// How long workers may take to write the entries that wait in Redis and name the user, in seconds; what is left then, this command writes
    #[arg(long, default_value = "10")]
    wait_seconds: u64,
    /// Key of the deployment (of a single node, the one in its data directory if not given): what remains is a hash under it
    #[arg(long, env = "TANDEM_SECRET", hide_env_values = true)]
    secret: Option<String>,
}

impl Forget {
    /// The exit code is 1 if the user is in a room.
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        if !self.postgres.is_given() {
            return self.single();
        }
        let missing = match (self.redis.is_given(), &self.secret) {
            (false, _) => "REDIS_URL or REDIS_HOST is needed: entries of the ledger wait in Redis, and rooms are there",
            (_, None) => "TANDEM_SECRET is needed: what remains is a hash under it",
            (true, Some(secret)) => {
                let keys = Keys::new(secret.as_bytes());
                return ask(&self.postgres, async |database| self.cluster(&database, &keys).await);
            }
        };
        eprintln!("tandem: {missing}");
        Ok(ExitCode::from(USAGE))
    }

    fn single(self) -> anyhow::Result<ExitCode> {
        let path = self.ledger.database();
        // To open it would make it.
        std::fs::metadata(&path)
            .with_context(|| format!("cannot read the ledger {} (TANDEM_DATA_DIR says where it is)", path.display()))?;
        let secret = load_secret(self.secret.as_deref(), &self.ledger.data_dir).context("cannot read the secret")?;
        let (person, subject) = (Person::new(self.user.clone()), subject(&Keys::new(&secret), &self.user));
        let mut ledger = LocalLedger::open(&path)?;
        tell_before(&ledger.erasures_of(&subject)?);
        // Without a node nobody is in a room.
        let seated = if is_running(&self.ledger)? { ledger.seats_of(&person)? } else { Vec::new() };
        if !seated.is_empty() {
            return Ok(refuse(&seated));
        }
        if self.yes {
            tell(&ledger.erase(&person, &subject, clock::system())?, &subject);
        } else {
            tell_trial(&ledger.survey(&person)?);
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn cluster(&self, database: &Database, keys: &Keys) -> anyhow::Result<ExitCode> {
        let (person, subject) = (Person::new(self.user.clone()), subject(keys, &self.user));
        let connector = Connector::new(&self.redis)?;
        let layout = Layout::new(&self.redis.redis_prefix, self.redis.redis_partitions).on(connector.db());
        let at_redis = || format!("cannot search Redis at {}", connector.at());
        let mut remains = Remains::connect(&connector, layout).await.with_context(at_redis)?;
        tell_before(&database.erasures_of(&subject).await?);
        let found = look(database, &mut remains, &person).await?;
        if !found.seated.is_empty() {
            return Ok(refuse(&found.seated));
        }
        for room in &found.named {
            eprintln!(
                "tandem: the open room {room:?} names them, as a former host, among those who were thrown out, or as who moved the film \
                 last; it forgets that when it is closed"
            );
        }
        if !self.yes {
            let mut would = database.survey(&person, &found.rooms).await?;
            would.queued = found.queued;
            tell_trial(&would);
            return Ok(ExitCode::SUCCESS);
        }
        let mut erased = Erased::default();
        for _ in 0..PASSES {
            let pass = self.pass(database, &mut remains, &person).await?;
            erased.add(pass);
            if pass.is_nothing() {
                break;
            }
            sleep(SETTLE).await;
        }
        database.prove_erasure(&subject, &erased).await?;
        tell(&erased, &subject);
        Ok(ExitCode::SUCCESS)
    }

    async fn pass(&self, database: &Database, remains: &mut Remains, person: &Person) -> anyhow::Result<Erased> {
        let deadline = Instant::now() + Duration::from_secs(self.wait_seconds);
        let mut waiting = remains.waiting(person).await?;
        let queued = waiting.len() as u64;
        while !waiting.is_empty() && Instant::now() < deadline {
            sleep(LOOK).await;
            waiting = remains.waiting(person).await?;
        }
        // What others did in the same entry is not lost. What PostgreSQL does not take would become a dead letter, which names them.
        for entry in &waiting {
            if let Some(Ok(decoded)) = entry.entry()
                && let Err(error) = database.write(&[&decoded]).await
                && !error.is_about_data()
            {
                return Err(error.into());
            }
            remains.remove(entry).await?;
        }
        let Found { rooms, .. } = look(database, remains, person).await?;
        let mut keys = 0;
        for room in rooms.iter().filter_map(|room| RoomId::parse(room).ok()) {
            keys += remains.clear(&room, person).await?;
        }
        let erased = database.erase(person, &rooms).await?;
        Ok(Erased { queued, keys, ..erased })
    }
}

/// Searches Redis: the entries that wait, and the rooms that these or the tables name.
async fn look(database: &Database, remains: &mut Remains, person: &Person) -> anyhow::Result<Found> {
    let waiting = remains.waiting(person).await?;
    let mut rooms = database.rooms_of(person).await?;
    let room = |entry: &crate::backend::QueuedEntry| entry.entry()?.ok().map(|entry| entry.update.room.to_string());
    rooms.extend(waiting.iter().filter_map(room));
    rooms.sort_unstable();
    rooms.dedup();
    let mut found = Found { queued: waiting.len() as u64, ..Found::default() };
    for name in &rooms {
        let Ok(room) = RoomId::parse(name) else { continue };
        let standing = remains.standing(&room, person).await?;
        if standing.seated {
            found.seated.push(name.clone());
        } else if standing.named {
            found.named.push(name.clone());
        }
    }
    Ok(Found { rooms, ..found })
}

fn subject(keys: &Keys, user: &UserId) -> String {
    String::from(keys.erased(user))
}

/// Whether a node uses the directory.
fn is_running(ledger: &LedgerConfig) -> anyhow::Result<bool> {
    let Ok(lock) = File::open(ledger.data_dir.join("lock")) else { return Ok(false) };
    match lock.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

fn refuse(rooms: &[String]) -> ExitCode {
    eprintln!(
        "tandem: they have a seat in {rooms:?}, and every change there would write about them again. Let them leave, or throw them out; a seat \
         of somebody who is away ends by itself. Nothing was erased"
    );
    ExitCode::FAILURE
}

fn tell_before(before: &[String]) {
    for at in before {
        println!("erased before, at {at}");
    }
}

fn tell_trial(found: &Erased) {
    println!("would be erased: {}\nnothing was erased: --yes erases", counts(found));
}

fn tell(erased: &Erased, subject: &str) {
    println!("erased: {}\nproof: {subject} in the table erasures", counts(erased));
}

fn counts(of: &Erased) -> String {
    let Erased { events, mentions, users, rooms, dead_letters, queued, keys } = of;
    format!(
        "{events} events, {mentions} mentions in events of others, {users} rows of users, {rooms} of rooms, {dead_letters} dead letters, \
         {queued} entries that waited, {keys} other keys"
    )
}
