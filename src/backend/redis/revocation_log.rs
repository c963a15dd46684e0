//! The log of revocations, as a command writes and reads it.

use redis::{ErrorKind, RedisError, Script, ScriptInvocation};

use super::{connection::RedisConnection, connector::Connector, layout::Layout, scripts::Scripts};
use crate::{
    backend::{LogPosition, RevocationPage},
    clock::Millis,
    token::{Revocation, Revocations, RevocationsFull},
};

/// How many entries are read or written at once.
pub(super) const PAGE: usize = 500;

/// Why nothing was revoked, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// Redis or the client library returned an error.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// There are too many already.
    #[error(transparent)]
    Full(#[from] RevocationsFull),
}

/// The log of a deployment.
#[derive(Debug)]
pub struct RevocationLog {
    connection: RedisConnection,
    layout: Layout,
    scripts: Scripts,
    revoke: Script,
}

/// What the script returns: whether the entry at the position is there, and the entries after it with their fields.
pub(super) type Answer = (u64, Vec<(String, Vec<Vec<u8>>)>);

impl RevocationLog {
    /// Connects to the deployment.
    pub async fn connect(connector: &Connector, layout: Layout) -> Result<Self, RedisError> {
        let (connection, scripts) = (connector.connect(|_| {}).await?, Scripts::default());
        Ok(Self { connection, layout, scripts, revoke: script() })
    }

    /// Adds revocations.
    pub async fn revoke(&mut self, revocations: &[Revocation], now: Millis) -> Result<(), RevokeError> {
        for page in revocations.chunks(PAGE) {
            let call = add(&self.revoke, &self.layout, page, now);
            let added: i64 = call.invoke_async(&mut self.connection).await?;
            if added == 0 {
                return Err(RevocationsFull.into());
            }
        }
        Ok(())
    }

    /// All revocations, oldest first.
    pub async fn all(&mut self) -> Result<Vec<Revocation>, RevokeError> {
        let (mut all, mut after) = (Vec::new(), LogPosition::default());
        loop {
            let call = read_after(&self.scripts.revocations, &self.layout, after);
            let answer: Answer = call.invoke_async(&mut self.connection).await?;
            let Some((page, _)) = page(answer, after) else {
                return Err(RedisError::from((ErrorKind::UnexpectedReturnType, "the log has another shape")).into());
            };
            if page.position == after {
                return Ok(all);
            }
            after = page.position;
            all.extend(page.revocations);
        }
    }
}

pub(super) fn script() -> Script {
    Script::new(include_str!("revoke.lua"))
}

pub(super) fn add<'a>(script: &'a Script, layout: &Layout, page: &[Revocation], now: Millis) -> ScriptInvocation<'a> {
    let mut call = script.key(layout.revocations());
    call.arg(now).arg(Revocations::MOST);
    for revocation in page {
        // Writing to memory does not fail.
        call.arg(revocation.until).arg(minicbor::to_vec(revocation).unwrap_or_default());
    }
    call
}

pub(super) fn read_after<'a>(script: &'a Script, layout: &Layout, after: LogPosition) -> ScriptInvocation<'a> {
    let mut call = script.key(layout.revocations());
    call.arg(format!("{}-{}", after.0, after.1)).arg(PAGE);
    call
}

/// Reads the answer to [`read_after`], and counts entries that no node has written. `None` if the positions are none.
pub(super) fn page((found, entries): Answer, after: LogPosition) -> Option<(RevocationPage, usize)> {
    let continues = found > 0 || after == LogPosition::default();
    let mut page = RevocationPage { revocations: Vec::new(), position: after, continues };
    let mut strange = 0;
    for (id, fields) in entries {
        page.position = position(&id)?;
        match fields.as_slice() {
            [_, _, _, record] if let Ok(revocation) = minicbor::decode(record) => page.revocations.push(revocation),
            _ => strange += 1,
        }
    }
    Some((page, strange))
}

fn position(id: &str) -> Option<LogPosition> {
    let (time, number) = id.split_once('-')?;
    Some(LogPosition(time.parse().ok()?, number.parse().ok()?))
}
