use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use futures_util::StreamExt;
use redis::aio::MultiplexedConnection;
use tokio::{sync::Notify, task::JoinHandle, time::timeout};

use crate::servers::Redis;

/// Limit for a command to show up in MONITOR.
const PATIENCE: Duration = Duration::from_secs(5);

/// Characters of a script's hash that identify it.
const HASH: usize = 8;

/// Counts of the commands that clients sent, by name and first argument. Commands called by scripts are not included.
pub(crate) type Commands = BTreeMap<String, u64>;

/// Counts the commands that clients send to Redis, by MONITOR: the counters of INFO include what scripts call.
#[derive(Debug)]
pub(crate) struct RedisMonitor {
    shared: Arc<Shared>,
    /// Sends marks, which MONITOR reports in order with everything else.
    control: MultiplexedConnection,
    marks: u64,
    listener: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    commands: Mutex<Commands>,
    news: Notify,
}

impl Shared {
    fn commands(&self) -> MutexGuard<'_, Commands> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RedisMonitor {
    pub(crate) async fn start(redis: &Redis) -> Result<Self> {
        let control = redis.connect().await?;
        let mut lines = redis.client()?.get_async_monitor().await?.into_on_message::<String>();
        let shared = Arc::<Shared>::default();
        let listener = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move {
                while let Some(line) = lines.next().await {
                    if let Some(command) = command(&line) {
                        *shared.commands().entry(command).or_default() += 1;
                        shared.news.notify_one();
                    }
                }
            }
        });
        Ok(Self { shared, control, marks: 0, listener })
    }

    /// The commands since the last call, or since the start.
    pub(crate) async fn take(&mut self) -> Result<Commands> {
        self.marks += 1;
        let mark = format!("mark-{}", self.marks);
        let _: String = redis::cmd("ECHO").arg(&mark).query_async(&mut self.control).await?;
        let mark = format!("ECHO {mark}");
        let arrive = async {
            while !self.shared.commands().contains_key(&mark) {
                self.shared.news.notified().await;
            }
        };
        timeout(PATIENCE, arrive).await.context("MONITOR does not keep up")?;
        let mut commands = std::mem::take(&mut *self.shared.commands());
        commands.remove(&mark);
        Ok(commands)
    }
}

impl Drop for RedisMonitor {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// The name and the first argument of a line of MONITOR; `None` for commands of scripts.
fn command(line: &str) -> Option<String> {
    let (from, said) = line.split_once("] \"")?;
    if from.ends_with(" lua") {
        return None;
    }
    let mut words = said.trim_end_matches('"').split("\" \"");
    let name = words.next()?.to_ascii_uppercase();
    let about = words.next().unwrap_or_default();
    let about = if name == "EVALSHA" { about.get(..HASH).unwrap_or(about) } else { about };
    Some(format!("{name} {about}").trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_from_scripts() {
        for (line, expected) in [
            (r#"17.1 [0 127.0.0.1:6] "evalsha" "0123456789abcdef" "4" "a b""#, Some("EVALSHA 01234567")),
            (r#"17.1 [0 lua] "HSET" "room" "v" "1""#, None),
            (r#"17.1 [0 127.0.0.1:6] "SPUBLISH" "t:{node:a}" "{\"x\":\"y\"}""#, Some("SPUBLISH t:{node:a}")),
            (r#"17.1 [0 127.0.0.1:6] "PING""#, Some("PING")),
            ("OK", None),
        ] {
            assert_eq!(command(line).as_deref(), expected, "{line}");
        }
    }
}
