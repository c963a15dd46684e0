use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use futures_util::StreamExt;
use redis::aio::MultiplexedConnection;
use tokio::{sync::Notify, task::JoinHandle, time::timeout};

use super::Redis;

/// How long what was asked may take to be overheard.
const PATIENCE: Duration = Duration::from_secs(5);

/// Characters of a script's hash that tell it from others.
const HASH: usize = 8;

/// Commands that clients sent, by name and by what each is about: its first argument. What scripts call is not among them.
pub(crate) type Overheard = BTreeMap<String, u64>;

/// Hears every command that clients send to Redis. Redis' counters do not tell those from what scripts call.
#[derive(Debug)]
pub(crate) struct Wiretap {
    heard: Arc<Heard>,
    /// For marks: they come in the order of everything else.
    control: MultiplexedConnection,
    marks: u64,
    listener: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Heard {
    commands: Mutex<Overheard>,
    news: Notify,
}

impl Heard {
    fn commands(&self) -> MutexGuard<'_, Overheard> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wiretap {
    /// Begins to listen.
    pub(crate) async fn start(redis: &Redis) -> Result<Self> {
        let control = redis.connect().await?;
        let mut lines = redis.client()?.get_async_monitor().await?.into_on_message::<String>();
        let heard = Arc::<Heard>::default();
        let listener = tokio::spawn({
            let heard = Arc::clone(&heard);
            async move {
                while let Some(line) = lines.next().await {
                    if let Some(command) = command(&line) {
                        *heard.commands().entry(command).or_default() += 1;
                        heard.news.notify_one();
                    }
                }
            }
        });
        Ok(Self { heard, control, marks: 0, listener })
    }

    /// All commands that Redis has begun since the last time, or the start.
    pub(crate) async fn take(&mut self) -> Result<Overheard> {
        self.marks += 1;
        let mark = format!("mark-{}", self.marks);
        let _: String = redis::cmd("ECHO").arg(&mark).query_async(&mut self.control).await?;
        let mark = format!("ECHO {mark}");
        let arrive = async {
            while !self.heard.commands().contains_key(&mark) {
                self.heard.news.notified().await;
            }
        };
        timeout(PATIENCE, arrive).await.context("MONITOR does not keep up")?;
        let mut commands = std::mem::take(&mut *self.heard.commands());
        commands.remove(&mark);
        Ok(commands)
    }
}

impl Drop for Wiretap {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// The name and the first argument of a line of MONITOR; nothing for what a script calls.
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
