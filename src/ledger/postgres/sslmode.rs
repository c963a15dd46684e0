//! The TLS parameters of `DATABASE_URL`, in both forms of libpq. The driver knows fewer values than libpq, and no files, so these
//! parameters are removed before it reads the rest.

use std::{borrow::Cow, path::PathBuf};

use super::LedgerError;
use crate::config::PostgresTls;

/// The rest of the URL, and the parameters that were removed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) rest: String,
    pub(super) mode: Option<PostgresTls>,
    pub(super) ca_file: Option<PathBuf>,
}

impl Taken {
    /// Whether this parameter was removed.
    fn take(&mut self, name: &str, value: &str) -> Result<bool, LedgerError> {
        match name {
            "sslmode" => self.mode = Some(mode(value)?),
            // The value of libpq for the certificate authorities of the system.
            "sslrootcert" if value == "system" => {}
            "sslrootcert" => self.ca_file = Some(value.into()),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn mode(word: &str) -> Result<PostgresTls, LedgerError> {
    Ok(match word {
        "disable" => PostgresTls::Disable,
        "allow" | "prefer" => PostgresTls::Prefer,
        "require" => PostgresTls::Require,
        "verify-ca" => PostgresTls::VerifyCa,
        "verify-full" => PostgresTls::VerifyFull,
        word => {
            return Err(LedgerError::Settings(format!(
                "DATABASE_URL: sslmode={word} is unknown; there are disable, allow, prefer, require, verify-ca and verify-full"
            )));
        }
    })
}

/// Reads `postgres://...` or `name=value name='a value'`.
pub(super) fn take(url: &str) -> Result<Taken, LedgerError> {
    let url = url.trim();
    if url.starts_with("postgres://") || url.starts_with("postgresql://") { of_url(url) } else { of_pairs(url) }
}

fn of_url(url: &str) -> Result<Taken, LedgerError> {
    let Some((head, query)) = url.split_once('?') else {
        return Ok(Taken { rest: url.to_owned(), ..Taken::default() });
    };
    let mut taken = Taken::default();
    let mut rest = Vec::new();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if !taken.take(&decoded(name)?, &decoded(value)?)? {
            rest.push(pair);
        }
    }
    taken.rest = if rest.is_empty() { head.to_owned() } else { format!("{head}?{}", rest.join("&")) };
    Ok(taken)
}

fn decoded(text: &str) -> Result<Cow<'_, str>, LedgerError> {
    let broken = |_| LedgerError::Settings("DATABASE_URL: what is percent-encoded in it is no UTF-8".to_owned());
    percent_encoding::percent_decode_str(text).decode_utf8().map_err(broken)
}

fn of_pairs(text: &str) -> Result<Taken, LedgerError> {
    let mut taken = Taken::default();
    let mut rest = Vec::new();
    for (name, value) in pairs(text)? {
        if !taken.take(&name, &value)? {
            let quoted = value.replace('\\', "\\\\").replace('\'', "\\'");
            rest.push(format!("{name}='{quoted}'"));
        }
    }
    taken.rest = rest.join(" ");
    Ok(taken)
}

/// Parses as libpq does: blanks around the equals sign, quotes, backslashes.
fn pairs(text: &str) -> Result<Vec<(String, String)>, LedgerError> {
    // Errors repeat nothing of the text, because it may be a part of the password.
    let wrong = || {
        LedgerError::Settings(
            "DATABASE_URL is neither postgres://user:password@host/database nor host=... user=... dbname=..."
                .to_owned(),
        )
    };
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').ok_or_else(wrong)?;
        let name = name.trim_end();
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(wrong());
        }
        let after = after.trim_start();
        let (quoted, mut letters) = match after.strip_prefix('\'') {
            Some(inside) => (true, inside.chars()),
            None => (false, after.chars()),
        };
        let mut value = String::new();
        loop {
            match letters.next() {
                Some('\\') => value.extend(letters.next()),
                Some('\'') if quoted => break,
                Some(letter) if !quoted && letter.is_whitespace() => break,
                Some(letter) => value.push(letter),
                None if quoted => return Err(wrong()),
                None => break,
            }
        }
        found.push((name.to_owned(), value));
        rest = letters.as_str().trim_start();
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_and_every_word_is_understood() {
        let words = [
            ("disable", PostgresTls::Disable),
            ("allow", PostgresTls::Prefer),
            ("prefer", PostgresTls::Prefer),
            ("require", PostgresTls::Require),
            ("verify-ca", PostgresTls::VerifyCa),
            ("verify-full", PostgresTls::VerifyFull),
        ];
        let forms: [(&str, &str); 12] = [
            ("postgres://b/c?sslmode=WORD", "postgres://b/c"),
            ("postgresql://b/c?sslmode=WORD", "postgresql://b/c"),
            ("postgres://b/c?a=1&sslmode=WORD&d=2", "postgres://b/c?a=1&d=2"),
            ("postgres://b/c?sslmode=disable&sslmode=WORD", "postgres://b/c"),
            ("postgres://b/c?%73slmode=WORD", "postgres://b/c"),
            ("  postgres://b/c?sslmode=WORD\n", "postgres://b/c"),
            ("host=b sslmode=WORD", "host='b'"),
            ("sslmode=WORD host=b", "host='b'"),
            ("host = b  sslmode = 'WORD' dbname='a c'", "host='b' dbname='a c'"),
            ("host=b\tsslmode=WORD\n", "host='b'"),
            (r"password='a\'b\\ sslmode=disable' sslmode=WORD", r"password='a\'b\\ sslmode=disable'"),
            (r"password=a\ b host=b sslmode=WORD", "password='a b' host='b'"),
        ];
        for (form, rest) in forms {
            for (word, mode) in words {
                let taken = take(&form.replace("WORD", word)).unwrap();
                assert_eq!((taken.rest.as_str(), taken.mode), (rest, Some(mode)), "{form} {word}");
            }
            let encoded = form.replace("WORD", "verify%2Dfull");
            assert_eq!(take(&encoded).is_ok(), form.contains("://"), "only a URL is percent-encoded: {encoded}");
            for unknown in ["maybe", "", "REQUIRE", "require,"] {
                let error = take(&form.replace("WORD", unknown)).unwrap_err().to_string();
                assert!(error.contains("DATABASE_URL") && error.contains("verify-full"), "{form} {unknown}: {error}");
            }
        }
        for none in ["postgres://a@b/c", "host=b", "postgres://b/c?application_name=sslmode=require"] {
            assert_eq!(take(none).unwrap().mode, None, "{none}");
        }
    }

    #[test]
    fn the_file_of_authorities_is_taken_out() {
        for text in ["postgres://b/c?sslrootcert=%2Fetc%2Fca.pem", "host=b sslrootcert=/etc/ca.pem"] {
            assert_eq!(take(text).unwrap().ca_file, Some("/etc/ca.pem".into()));
        }
        assert_eq!(take("host=b sslrootcert=system").unwrap().ca_file, None);
    }

    #[test]
    fn what_is_neither_form_is_refused_without_a_word_of_it() {
        for wrong in ["hush", "postgresq//a:hush@b", "host=a password='hush", "host=b hush x=y", "= hush"] {
            let error = take(wrong).unwrap_err().to_string();
            assert!(error.contains("DATABASE_URL") && !error.contains("hush"), "{wrong}: {error}");
        }
    }
}
