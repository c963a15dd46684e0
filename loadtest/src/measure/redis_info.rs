use std::{collections::BTreeMap, ops::Sub};

use anyhow::{Context, Result};
use redis::aio::MultiplexedConnection;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RedisInfo {
    /// Calls by command in lower case, including those from scripts.
    calls: BTreeMap<String, u64>,
    /// All commands, including those from scripts.
    pub(crate) commands: u64,
    /// Bytes that Redis received.
    pub(crate) bytes_in: u64,
    /// Bytes that Redis sent.
    pub(crate) bytes_out: u64,
}

impl RedisInfo {
    pub(crate) async fn read(redis: &mut MultiplexedConnection) -> Result<Self> {
        let text: String = redis::cmd("INFO").arg("stats").arg("commandstats").query_async(redis).await?;
        Self::parse(&text).context("INFO lacks a counter")
    }

    pub(crate) fn calls(&self, command: &str) -> u64 {
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
}
