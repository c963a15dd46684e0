//! Parses `.env` literally, so that a password with a `$` is the same on every node. The rules are at the top of `.env.example`.

/// A variable that the file sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) value: String,
    /// The number of its first line, from 1.
    pub(super) line: usize,
}

/// A line that cannot be parsed. Its text is not shown, because it may be a secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}{}: {why}", name.as_ref().map_or_else(String::new, |name| format!(" ({name})")))]
pub(super) struct Fault {
    line: usize,
    name: Option<String>,
    why: &'static str,
}

/// The variables in the order of the file.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Entry>, Fault> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = before.split(|byte| *byte == b'\n').count();
        Fault { line, name: None, why: "expected UTF-8" }
    })?;
    let mut entries = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while !rest.is_empty() {
        let (entry, after) = statement(rest, line)?;
        entries.extend(entry);
        let read = rest.get(..rest.len() - after.len()).unwrap_or_default();
        line += read.bytes().filter(|byte| *byte == b'\n').count();
        rest = after;
    }
    Ok(entries)
}

/// The statement at the start of `text`, and what follows it.
fn statement(text: &str, line: usize) -> Result<(Option<Entry>, &str), Fault> {
    let (whole, after) = text.split_once('\n').unwrap_or((text, ""));
    let content = whole.trim();
    if content.is_empty() || content.starts_with('#') {
        return Ok((None, after));
    }
    let content = match content.strip_prefix("export") {
        Some(exported) if exported.starts_with([' ', '\t']) => exported.trim_start(),
        _ => content,
    };
    let fault = |why| Fault { line, name: speakable(content), why };
    let Some((name, value)) = content.split_once('=') else {
        // As in docker and Compose, a name alone takes its value from the environment, where it is already.
        return if is_name(content) { Ok((None, after)) } else { Err(fault("expected NAME=value")) };
    };
    let name = name.trim_end();
    if !is_name(name) {
        return Err(fault("expected NAME=value, with a name of letters, digits and underscores"));
    }
    let (value, after) = match value.trim_start().chars().next() {
        Some(quote @ ('\'' | '"')) => {
            // From here to the end of the file: a quoted value may have several lines.
            let start = text.find(quote).map_or(text.len(), |at| at + quote.len_utf8());
            quoted(text.get(start..).unwrap_or_default(), quote).map_err(fault)?
        }
        _ => (bare(value).to_owned(), after),
    };
    if value.contains('\0') {
        return Err(fault("a value cannot have a NUL"));
    }
    Ok((Some(Entry { name: name.to_owned(), value, line }), after))
}

/// A value without quotes ends with its line, or before a `#` that follows a space.
fn bare(value: &str) -> &str {
    let comment = value
        .char_indices()
        .zip(value.chars().skip(1))
        .find_map(|((at, before), letter)| (letter == '#' && before.is_whitespace()).then_some(at));
    comment.and_then(|at| value.get(..at)).unwrap_or(value).trim()
}

/// The value up to the closing quote, and what follows its line.
fn quoted(text: &str, quote: char) -> Result<(String, &str), &'static str> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            letter if letter == quote => {
                let end = text.get(at + quote.len_utf8()..).unwrap_or_default();
                let (tail, after) = end.split_once('\n').unwrap_or((end, ""));
                let comment = tail.trim_start();
                if comment.is_empty() || (comment.starts_with('#') && comment.len() < tail.len()) {
                    return Ok((value, after));
                }
                return Err("expected nothing after the closing quote but a comment");
            }
            '\\' if quote == '"' => match letters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 'r')) => value.push('\r'),
                Some((_, 't')) => value.push('\t'),
                Some((_, escaped @ ('"' | '\\' | '$'))) => value.push(escaped),
                Some((_, other)) => value.extend(['\\', other]),
                None => break,
            },
            // Windows ends lines with CRLF.
            '\r' if text.get(at..).is_some_and(|rest| rest.starts_with("\r\n")) => {}
            letter => value.push(letter),
        }
    }
    Err("expected a closing quote")
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(&byte))
}

/// The name at the begin of a line, if it looks like a setting; anything else may be a part of a secret.
fn speakable(content: &str) -> Option<String> {
    let name = content.split(['=', ' ', '\t', ':']).next().unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    (is_name(name) && name.contains('_') && name.bytes().all(plain)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(line: &str) -> String {
        let entries = parse(line.as_bytes()).unwrap_or_else(|fault| panic!("{line:?}: {fault}"));
        assert_eq!(entries.len(), 1, "{line:?}");
        entries[0].value.clone()
    }

    /// Each line, what it is here, and what `docker compose` and `docker run --env-file` make of it.
    #[test]
    fn values_are_literal() {
        for (line, here, compose, docker) in [
            ("A=plain", "plain", "plain", "plain"),
            ("A=a$$b", "a$$b", "a$b", "a$$b"),
            ("A=pa$word", "pa$word", "pa", "pa$word"),
            ("A=pa${word}", "pa${word}", "pa", "pa${word}"),
            ("A='pa$word'", "pa$word", "pa$word", "'pa$word'"),
            ("A=\"pa$word\"", "pa$word", "pa", "\"pa$word\""),
            ("A=\"pa\\$word\"", "pa$word", "pa$word", "\"pa\\$word\""),
            ("A=one two", "one two", "one two", "one two"),
            ("A='one two'", "one two", "one two", "'one two'"),
            ("A=a#b", "a#b", "a#b", "a#b"),
            ("A=a # why", "a", "a", "a # why"),
            ("A='a # b' # why", "a # b", "a # b", "'a # b' # why"),
            ("A=a=b==", "a=b==", "a=b==", "a=b=="),
            ("A=a\\nb", "a\\nb", "a\\nb", "a\\nb"),
            ("A=\"a\\nb\"", "a\nb", "a\nb", "\"a\\nb\""),
            ("A='a\\nb'", "a\\nb", "a\\nb", "'a\\nb'"),
            ("A=\"a\\\"b\\\\\"", "a\"b\\", "a\"b\\", "\"a\\\"b\\\\\""),
            ("A=it's", "it's", "it's", "it's"),
            ("A=a\"b", "a\"b", "a\"b", "a\"b"),
            ("A=", "", "", ""),
            ("A=''", "", "", "''"),
            ("A= x ", "x", "x", " x "),
            ("A = x", "x", "x", "(refused)"),
            ("A= # why", "", "", " # why"),
            ("A=#x", "#x", "#x", "#x"),
            ("  A=x", "x", "x", "x"),
            ("export A=x", "x", "x", "(refused)"),
            ("A=x\r\n", "x", "x", "x"),
            ("\u{feff}A=x", "x", "x", "x"),
            ("A=`id`$(id)!%~*", "`id`$(id)!%~*", "(refused)", "`id`$(id)!%~*"),
            ("A=päss wörd🙂", "päss wörd🙂", "päss wörd🙂", "päss wörd🙂"),
            (
                "A={\"urls\":[\"stun:a.org\"]}",
                "{\"urls\":[\"stun:a.org\"]}",
                "{\"urls\":[\"stun:a.org\"]}",
                "{\"urls\":[\"stun:a.org\"]}",
            ),
            ("A='one\r\ntwo'\n", "one\ntwo", "one\ntwo", "(two lines)"),
        ] {
            assert_eq!(value(line), here, "{line:?}");
            // Where the two others agree with each other there is no reason to differ.
            if compose == docker {
                assert_eq!(here, docker, "{line:?}");
            }
        }
    }

    #[test]
    fn lines_are_counted_and_a_name_alone_says_nothing() {
        let text = "# Mine\r\n\r\nA=1\nB='x\ny' # two lines\nPATH\nexport C=\"3\"\nA=2";
        let entries = parse(text.as_bytes()).unwrap();
        let found: Vec<_> = entries.iter().map(|entry| (&*entry.name, &*entry.value, entry.line)).collect();
        assert_eq!(found, [("A", "1", 3), ("B", "x\ny", 4), ("C", "3", 7), ("A", "2", 8)]);
    }

    #[test]
    fn what_cannot_be_read_is_named_and_not_printed() {
        for (text, said) in [
            ("A_B=1\nA_B 2hush", "line 2 (A_B): expected NAME=value"),
            ("A_B='hush", "line 1 (A_B): expected a closing quote"),
            ("A_B=\"hush\\\"", "line 1 (A_B): expected a closing quote"),
            ("A_B='x'hush", "line 1 (A_B): expected nothing after the closing quote but a comment"),
            ("A_B='x'#hush", "line 1 (A_B): expected nothing after the closing quote but a comment"),
            ("A_B: hush", "line 1 (A_B): expected NAME=value"),
            ("hush-hush", "line 1: expected NAME=value"),
            ("=hush", "line 1: expected NAME=value, with a name of letters, digits and underscores"),
            ("1A=hush", "line 1: expected NAME=value, with a name of letters, digits and underscores"),
            ("A_B=hu\0sh", "line 1 (A_B): a value cannot have a NUL"),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap_err().to_string(), said, "{text:?}");
        }
        assert_eq!(parse(b"A=1\nB=\xff").unwrap_err().to_string(), "line 2: expected UTF-8");
    }
}
