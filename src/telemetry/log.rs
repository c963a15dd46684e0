use std::io::{self, IsTerminal as _, Write};

use serde_json::{Map, Value};
use tracing_bunyan_formatter::{BunyanFormattingLayer, JsonStorageLayer};
use tracing_subscriber::{
    fmt::MakeWriter, layer::SubscriberExt as _, registry::Registry, util::SubscriberInitExt as _,
};

use crate::config::{LogConfig, LogFormat};

/// Fields of a Bunyan line that pino does not write.
const NOT_PINO: [&str; 3] = ["v", "line", "file"];

/// Why logging could not begin.
#[derive(Debug, thiserror::Error)]
#[error("cannot begin to log: {0}")]
pub struct LogError(#[from] tracing_subscriber::util::TryInitError);

/// Logs to standard output from now on: JSON lines as pino writes them, or text for people.
pub fn init(config: &LogConfig) -> Result<(), LogError> {
    // For all layers at once: what is below the level is not even dispatched.
    let level = config.log_level.filter();
    if is_for_people(config) {
        let text = tracing_subscriber::fmt::layer().compact().with_target(false);
        Registry::default().with(level).with(text).try_init()?;
    } else {
        let lines = BunyanFormattingLayer::new("tandem".to_owned(), Pino(io::stdout));
        Registry::default().with(level).with(JsonStorageLayer).with(lines).try_init()?;
    }
    Ok(())
}

/// Whether text is wanted rather than JSON lines.
pub fn is_for_people(config: &LogConfig) -> bool {
    match config.log_format {
        LogFormat::Pretty => true,
        LogFormat::Json => false,
        LogFormat::Auto => io::stdout().is_terminal(),
    }
}

/// Turns Bunyan's lines into pino's: events only, epoch milliseconds, no `v`, each key once.
struct Pino<M>(M);

struct PinoLine<W>(W);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Pino<M> {
    type Writer = PinoLine<M::Writer>;
    fn make_writer(&'a self) -> Self::Writer {
        PinoLine(self.0.make_writer())
    }
}

impl<W: Write> Write for PinoLine<W> {
    /// The formatter writes whole lines.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(pino) = rewrite(line, jiff::Timestamp::now().as_millisecond()) {
            self.0.write_all(&pino)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Nothing for the lines that mark the begin and the end of a span.
fn rewrite(line: &[u8], now: i64) -> Option<Vec<u8>> {
    // Reading into a map keeps the last of two equal keys.
    let mut fields: Map<String, Value> = serde_json::from_slice(line).ok()?;
    let message = fields.remove("msg").and_then(|msg| msg.as_str().map(str::to_owned)).unwrap_or_default();
    let message = match message.strip_prefix('[').and_then(|rest| rest.split_once("] ").or(rest.split_once(']'))) {
        Some((span, _)) if span.ends_with(" - START") || span.ends_with(" - END") => return None,
        Some((span, event)) if span.ends_with(" - EVENT") => event.to_owned(),
        _ => message,
    };
    for key in NOT_PINO {
        fields.remove(key);
    }
    fields.insert("time".to_owned(), now.into());
    fields.insert("msg".to_owned(), message.into());
    let mut bytes = serde_json::to_vec(&fields).ok()?;
    bytes.push(b'\n');
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pino(line: &str) -> Option<String> {
        rewrite(line.as_bytes(), 1_700_000_000_123).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn golden_lines() {
        let bunyan = r#"{"v":0,"name":"tandem","msg":"listening","level":30,"hostname":"h","pid":7,"time":"2026-11-22T10:00:00.5Z","target":"tandem::node","line":3,"file":"src/node.rs","addr":"127.0.0.1:4001"}"#;
        assert_eq!(
            pino(bunyan).unwrap(),
            concat!(
                r#"{"addr":"127.0.0.1:4001","hostname":"h","level":30,"msg":"listening","name":"tandem","pid":7,"#,
                r#""target":"tandem::node","time":1700000000123}"#,
                "\n"
            )
        );
        assert_eq!(pino(r#"{"msg":"[JOIN - START]","level":30}"#), None);
        assert_eq!(pino(r#"{"msg":"[JOIN - END]","level":30}"#), None);
        let event = pino(r#"{"msg":"[JOIN - EVENT] in","level":30,"room":"a","room":"b"}"#).unwrap();
        assert!(
            event.contains(r#""msg":"in""#) && event.contains(r#""room":"b""#) && !event.contains("\"a\""),
            "{event}"
        );
    }

    #[test]
    fn a_message_may_begin_with_a_bracket() {
        assert!(pino(r#"{"msg":"[::1]:4001 refused","level":40}"#).unwrap().contains("[::1]:4001 refused"));
    }
}
