use std::{
    collections::BTreeMap,
    ops::Sub,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use redis::aio::MultiplexedConnection;
use tokio::time::sleep;

use crate::{
    report::Sheet,
    servers::Redis,
    units::{float, per},
};

/// How long idle nodes are watched.
const QUIET: Duration = Duration::from_secs(2);

/// Counts what messages ask of Redis, beyond what nodes ask by themselves.
pub(crate) struct RedisMeter {
    connection: MultiplexedConnection,
    before: RedisInfo,
    since: Instant,
    idle: Asked,
    rounds: Vec<Asked>,
}

/// What was asked of Redis in some time.
#[derive(Debug, Clone)]
struct Asked {
    info: RedisInfo,
    seconds: f64,
    messages: u64,
}

impl RedisMeter {
    /// Watches nodes that do nothing else.
    pub(crate) async fn start(redis: &Redis) -> Result<Self> {
        let mut connection = redis.connect().await?;
        let (before, since) = (RedisInfo::read(&mut connection).await?, Instant::now());
        let idle = Asked { info: RedisInfo::default(), seconds: 1.0, messages: 1 };
        let mut meter = Self { connection, before, since, idle, rounds: Vec::new() };
        sleep(QUIET).await;
        meter.idle = meter.asked(1).await?;
        Ok(meter)
    }

    pub(crate) async fn begin(&mut self) -> Result<()> {
        (self.before, self.since) = (RedisInfo::read(&mut self.connection).await?, Instant::now());
        Ok(())
    }

    /// Ends a round of so many messages.
    pub(crate) async fn end(&mut self, messages: u64) -> Result<()> {
        let asked = self.asked(messages).await?;
        self.rounds.push(asked);
        Ok(())
    }

    async fn asked(&mut self, messages: u64) -> Result<Asked> {
        let info = RedisInfo::read(&mut self.connection).await? - self.before.clone();
        Ok(Asked { info, seconds: self.since.elapsed().as_secs_f64(), messages })
    }

    /// Reports what each message asked, as the median of the rounds.
    pub(crate) fn report(&self, sheet: &mut Sheet, column: &str, message: &str) {
        let mut set = |figure: &str, count: &dyn Fn(&RedisInfo) -> u64| {
            let each = self.rounds.iter().map(|round| round.each(&self.idle, count)).collect();
            sheet.set_rounds(column, &format!("{message}_redis_{figure}"), each);
        };
        set("scripts", &|it| it.calls("evalsha"));
        set("publishes", &|it| it.calls("spublish"));
        set("commands", &|it| it.commands);
        set("in_bytes", &|it| it.bytes_in);
        set("out_bytes", &|it| it.bytes_out);
    }
}

impl Asked {
    fn each(&self, idle: &Self, count: &dyn Fn(&RedisInfo) -> u64) -> f64 {
        let by_nodes = float(count(&idle.info)) / idle.seconds * self.seconds;
        per(float(count(&self.info)) - by_nodes, self.messages)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct RedisInfo {
    /// Calls by command in lower case, including those from scripts.
    calls: BTreeMap<String, u64>,
    /// All commands, including those from scripts.
    commands: u64,
    /// Bytes that Redis received.
    bytes_in: u64,
    /// Bytes that Redis sent.
    bytes_out: u64,
}

impl RedisInfo {
    async fn read(redis: &mut MultiplexedConnection) -> Result<Self> {
        let text: String = redis::cmd("INFO").arg("stats").arg("commandstats").query_async(redis).await?;
        Self::parse(&text).context("INFO lacks a counter")
    }

    fn calls(&self, command: &str) -> u64 {
        self.calls.get(command).copied().unwrap_or(0)
    }

    fn parse(text: &str) -> Option<Self> {
        let lines = || text.lines().filter_map(|line| line.trim_end().split_once(':'));
        let calls = lines().filter_map(|(key, value)| {
            let calls = value.strip_prefix("calls=")?.split(',').next()?;
            Some((key.strip_prefix("cmdstat_")?.to_owned(), calls.parse().ok()?))
        });
        let number = |name| lines().find(|(key, _)| *key == name)?.1.parse().ok();
        Some(Self {
            calls: calls.collect(),
            commands: number("total_commands_processed")?,
            bytes_in: number("total_net_input_bytes")?,
            bytes_out: number("total_net_output_bytes")?,
        })
    }
}

impl Sub for RedisInfo {
    type Output = Self;

    fn sub(mut self, earlier: Self) -> Self {
        for (name, calls) in &mut self.calls {
            *calls -= earlier.calls(name).min(*calls);
        }
        Self {
            calls: self.calls,
            commands: self.commands.saturating_sub(earlier.commands),
            bytes_in: self.bytes_in.saturating_sub(earlier.bytes_in),
            bytes_out: self.bytes_out.saturating_sub(earlier.bytes_out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "# Stats\r\ntotal_commands_processed:12\r\ntotal_net_input_bytes:900\r\n\
        total_net_output_bytes:70\r\n\r\n# Commandstats\r\n\
        cmdstat_evalsha:calls=5,usec=90,usec_per_call=18.00,rejected_calls=0,failed_calls=0\r\n\
        cmdstat_client|setinfo:calls=2,usec=1,usec_per_call=0.50,rejected_calls=0,failed_calls=0\r\n";

    #[test]
    fn calls_are_found_by_command_and_counted_since() {
        let now = RedisInfo::parse(INFO).unwrap();
        assert_eq!((now.calls("evalsha"), now.calls("client|setinfo"), now.calls("get")), (5, 2, 0));
        assert_eq!((now.commands, now.bytes_in, now.bytes_out), (12, 900, 70));
        let mut earlier = now.clone();
        earlier.calls.insert("evalsha".to_owned(), 2);
        earlier.commands = 10;
        let since = now - earlier;
        assert_eq!((since.calls("evalsha"), since.calls("client|setinfo"), since.commands), (3, 0, 2));
        assert!(RedisInfo::parse("# Stats\r\n").is_none());
    }

    #[test]
    fn what_nodes_ask_by_themselves_is_left_out() {
        let asked = |commands, seconds, messages| Asked {
            info: RedisInfo { commands, ..RedisInfo::default() },
            seconds,
            messages,
        };
        let each = asked(140, 4.0, 50).each(&asked(20, 2.0, 1), &|it| it.commands);
        assert!((each - 2.0).abs() < 1e-9, "{each}");
    }
}
