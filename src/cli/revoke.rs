use std::process::ExitCode;

use anyhow::Context as _;
use clap::{ArgGroup, Args};
use jiff::Timestamp;

use super::USAGE;
use crate::{
    backend::{Connector, Layout, RevocationLog},
    clock::{self, Millis, millis},
    config::{LedgerConfig, RedisConfig, TokenConfig},
    id::{RoomId, UserId},
    ledger::LocalTokens,
    text::spell,
    token::{Revocation, Target},
};

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).multiple(true))]
pub(super) struct Revoke {
    #[command(flatten)]
    token: TokenConfig,
    #[command(flatten)]
    ledger: LedgerConfig,
    #[command(flatten)]
    redis: RedisConfig,
    /// Revoke the token or the invitation with this id (the claim jti); may be given several times
    #[arg(long, group = "what")]
    jti: Vec<String>,
    /// Revoke all tokens of this user, or of one device of theirs (user#device); may be given several times
    #[arg(long, group = "what", value_parser = |id: &str| UserId::parse(id))]
    user: Vec<UserId>,
    /// Revoke all tokens and invitations in this room; may be given several times
    #[arg(long, group = "what", value_parser = |id: &str| RoomId::parse(id))]
    room: Vec<RoomId>,
    /// Of users and rooms: those issued before this time, such as 2026-05-01T20:00:00Z; now if not given
    #[arg(long)]
    issued_before: Option<Timestamp>,
    /// Print what is revoked, and revoke nothing
    #[arg(long, group = "what", conflicts_with_all = ["jti", "user", "room", "issued_before"])]
    list: bool,
}

impl Revoke {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let now = clock::system();
        let issued_before = match self.issued_before.map(|time| Millis::try_from(time.as_millisecond())) {
            None => now,
            Some(Ok(time)) => time,
            Some(Err(_)) => {
                eprintln!("tandem: --issued-before: no token was issued before 1970");
                return Ok(ExitCode::from(USAGE));
            }
        };
        let until = now + millis(self.token.most_lifetime()) + millis(self.token.leeway());
        let targets = (self.jti.iter().map(|jti| Target::Token(jti.as_str().into())))
            .chain(self.user.iter().cloned().map(Target::User))
            .chain(self.room.iter().cloned().map(Target::Room));
        let revocations: Vec<_> = targets.map(|target| Revocation { target, issued_before, until }).collect();
        let all = if self.redis.is_given() {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(in_cluster(&self.redis, &revocations, now))?
        } else {
            on_single_node(&self.ledger, &revocations, now)?
        };
        if self.list {
            for revocation in all.iter().filter(|revocation| revocation.until > now) {
                println!("{}", line(revocation));
            }
        } else {
            for revocation in &revocations {
                println!("revoked  {}", line(revocation));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Adds to the log of a cluster, and returns all of it.
async fn in_cluster(config: &RedisConfig, add: &[Revocation], now: Millis) -> anyhow::Result<Vec<Revocation>> {
    let connector = Connector::new(config)?;
    let layout = Layout::new(&config.redis_prefix, config.redis_partitions).on(connector.db());
    let at_redis = || format!("cannot revoke in Redis at {}", connector.at());
    let mut log = RevocationLog::connect(&connector, layout).await.with_context(at_redis)?;
    log.revoke(add, now).await.with_context(at_redis)?;
    log.all().await.with_context(at_redis)
}

/// Adds to the file of a single node, which reads it while it runs, and returns everything that is in it.
fn on_single_node(config: &LedgerConfig, add: &[Revocation], now: Millis) -> anyhow::Result<Vec<Revocation>> {
    let path = config.database();
    // To open it would make it.
    std::fs::metadata(&path).with_context(|| {
        format!(
            "cannot read the ledger {} (TANDEM_DATA_DIR says where it is, REDIS_URL where a cluster is)",
            path.display()
        )
    })?;
    let mut tokens = LocalTokens::open(&path)?;
    if !add.is_empty() {
        tokens.revoke(add, now)?;
    }
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let page = tokens.revocations(after)?;
        let Some((last, _)) = page.last() else { return Ok(all) };
        after = *last;
        all.extend(page.into_iter().map(|(_, revocation)| revocation));
    }
}

fn line(Revocation { target, issued_before, until }: &Revocation) -> String {
    let until = moment(*until);
    match target {
        Target::Token(jti) => format!("jti   {}, remembered until {until}", spell(jti)),
        Target::User(user) => {
            format!(
                "user  {}, issued before {}, remembered until {until}",
                spell(user.as_str()),
                moment(*issued_before)
            )
        }
        Target::Room(room) => {
            format!(
                "room  {}, issued before {}, remembered until {until}",
                spell(room.as_str()),
                moment(*issued_before)
            )
        }
    }
}

fn moment(at: Millis) -> String {
    let at = i64::try_from(at).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
    at.map_or_else(|| "a time that cannot be written".to_owned(), |at| at.to_string())
}
