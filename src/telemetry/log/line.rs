use std::{
    fmt::Write as _,
    io::{self, Write},
};

use tracing_subscriber::fmt::MakeWriter;

use super::{
    addresses,
    fields::{self, Fields},
    mask::Mask,
    pipe::Pipe,
    subject::Subject,
};
use crate::config::LogAddresses;

/// Fields of a Bunyan line that pino does not write.
const NOT_PINO: [&str; 3] = ["v", "line", "file"];
/// Fields that a person who reads text does not need in each line.
const NOT_TEXT: [&str; 6] = ["name", "hostname", "pid", "target", "time", "level"];
/// pino's number for `info`: ids are masked from here on.
const INFO: i64 = 30;

/// The format of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// As pino writes them.
    Json,
    /// For people, in colours where they can be seen.
    Text { colours: bool },
}

/// Takes the lines of the Bunyan formatter, adds the ids of the running task, and passes them on in their final format.
pub(super) struct Lines {
    pub(super) look: Look,
    pub(super) addresses: LogAddresses,
    pub(super) mask: Option<Mask>,
    pub(super) pipe: Pipe,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;
    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl Write for &Lines {
    /// The formatter writes whole lines.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(mut fields) = pino(line, jiff::Timestamp::now().as_millisecond()) {
            Subject::complete(&mut fields);
            addresses::apply(self.addresses, &mut fields);
            if let Some(mask) = self.mask.filter(|_| level(&fields) >= INFO) {
                mask.apply(&mut fields);
            }
            self.pipe.push(&render(&fields, self.look));
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn level(fields: &Fields<'_>) -> i64 {
    fields.integer("level").unwrap_or(INFO)
}

/// pino's fields: epoch milliseconds, no `v`, each key once. `None` for the lines that mark the begin and the end of a span.
fn pino(line: &[u8], now: i64) -> Option<Fields<'_>> {
    let mut fields = Fields::read(line)?;
    let message = fields.text("msg").filter(|message| message.starts_with('[')).map(std::borrow::Cow::into_owned);
    if let Some(message) = message
        && let Some(rest) = message.strip_prefix('[')
        && let Some((span, event)) = rest.split_once("] ").or(rest.split_once(']'))
    {
        if span.ends_with(" - START") || span.ends_with(" - END") {
            return None;
        }
        if span.ends_with(" - EVENT") {
            fields.set("msg", event);
        }
    }
    for key in NOT_PINO {
        fields.remove(key);
    }
    fields.set("time", now);
    Some(fields)
}

/// The line that reports how many lines were dropped before it.
pub(super) fn notice(look: Look) -> fn(u64) -> Vec<u8> {
    fn fields(lines: u64) -> Fields<'static> {
        let mut fields = Fields::default();
        fields.set("name", "tandem");
        fields.set("level", 40);
        fields.set("time", jiff::Timestamp::now().as_millisecond());
        fields.set("pid", std::process::id());
        fields.set("msg", "log lines were dropped: the reader of the log did not keep up");
        fields.set("lines", lines);
        fields
    }
    match look {
        Look::Json => |lines| render(&fields(lines), Look::Json),
        Look::Text { colours: true } => |lines| render(&fields(lines), Look::Text { colours: true }),
        Look::Text { colours: false } => |lines| render(&fields(lines), Look::Text { colours: false }),
    }
}

fn render(fields: &Fields<'_>, look: Look) -> Vec<u8> {
    let mut line = match look {
        Look::Json => json(fields),
        Look::Text { colours } => text(fields, colours).into_bytes(),
    };
    line.push(b'\n');
    line
}

/// More bytes than most lines have.
const USUAL: usize = 512;

fn json(fields: &Fields<'_>) -> Vec<u8> {
    let mut line = Vec::with_capacity(USUAL);
    line.push(b'{');
    for (key, json) in fields.iter() {
        if line.len() > 1 {
            line.push(b',');
        }
        // A text can always be written.
        let _ = serde_json::to_writer(&mut line, key);
        line.push(b':');
        line.extend_from_slice(json.as_bytes());
    }
    line.push(b'}');
    line
}

fn text(fields: &Fields<'_>, colours: bool) -> String {
    let (word, colour) = match level(fields) {
        ..20 => ("TRACE", 35),
        20..30 => ("DEBUG", 34),
        30..40 => (" INFO", 32),
        40..50 => (" WARN", 33),
        _ => ("ERROR", 31),
    };
    let time = fields.integer("time").and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let time = time.map_or_else(String::new, |time| format!("{time:.3}"));
    let message = fields.text("msg").unwrap_or_default();
    let mut line = if colours {
        format!("\x1b[2m{time}\x1b[0m \x1b[{colour}m{word}\x1b[0m {message}")
    } else {
        format!("{time} {word} {message}")
    };
    // Writing into a String cannot fail.
    for (key, json) in fields.iter().filter(|(key, _)| *key != "msg" && !NOT_TEXT.contains(key)) {
        let plain = fields::text(json).filter(|text| !text.is_empty() && !text.contains(needs_quotes));
        let value = plain.as_deref().unwrap_or(json);
        if colours {
            let _ = write!(line, " \x1b[2m{key}=\x1b[0m{value}");
        } else {
            let _ = write!(line, " {key}={value}");
        }
    }
    line
}

/// Whether a text with this character is written as JSON: it would end, break or colour the line.
fn needs_quotes(c: char) -> bool {
    c.is_whitespace() || c.is_control() || c == '"'
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_123;

    fn json(line: &str) -> Option<String> {
        pino(line.as_bytes(), NOW).map(|fields| String::from_utf8(render(&fields, Look::Json)).unwrap())
    }

    #[test]
    fn golden_lines() {
        let bunyan = r#"{"v":0,"name":"tandem","msg":"listening","level":30,"hostname":"h","pid":7,"time":"2026-11-22T10:00:00.5Z","target":"tandem::node","line":3,"file":"src/node.rs","addr":"127.0.0.1:4001"}"#;
        assert_eq!(
            json(bunyan).unwrap(),
            concat!(
                r#"{"name":"tandem","msg":"listening","level":30,"hostname":"h","pid":7,"time":1700000000123,"#,
                r#""target":"tandem::node","addr":"127.0.0.1:4001"}"#,
                "\n"
            )
        );
        let fields = pino(bunyan.as_bytes(), NOW).unwrap();
        assert_eq!(text(&fields, false), "2023-11-14T22:13:20.123Z  INFO listening addr=127.0.0.1:4001");
        assert_eq!(
            text(&fields, true),
            "\x1b[2m2023-11-14T22:13:20.123Z\x1b[0m \x1b[32m INFO\x1b[0m listening \x1b[2maddr=\x1b[0m127.0.0.1:4001"
        );
        assert_eq!(json(r#"{"msg":"[JOIN - START]","level":30}"#), None);
        assert_eq!(json(r#"{"msg":"[JOIN - END]","level":30}"#), None);
        let event = json(r#"{"msg":"[JOIN - EVENT] in","level":30,"room":"a","room":"b"}"#).unwrap();
        assert!(
            event.contains(r#""msg":"in""#) && event.contains(r#""room":"b""#) && !event.contains("\"a\""),
            "{event}"
        );
    }

    #[test]
    fn a_message_may_begin_with_a_bracket() {
        assert!(json(r#"{"msg":"[::1]:4001 refused","level":40}"#).unwrap().contains("[::1]:4001 refused"));
    }

    #[test]
    fn a_value_of_text_cannot_make_a_second_line() {
        let line = r#"{"msg":"joined","level":30,"user":"a\nb c","room":"\u001b[31mred","by":""}"#;
        let fields = pino(line.as_bytes(), NOW).unwrap();
        let expected = r#"2023-11-14T22:13:20.123Z  INFO joined user="a\nb c" room="\u001b[31mred" by="""#;
        assert_eq!(text(&fields, false), expected);
    }
}
