use std::fmt::Write as _;

use clap::{Arg, ArgMatches, Args as _, Command, parser::ValueSource};

use super::Config;

/// The text that replaces the value of a secret.
pub const MASK: &str = "********";

fn command() -> Command {
    Config::augment_args(Command::new("tandem"))
}

fn variable(arg: &Arg) -> Option<&str> {
    arg.get_env().and_then(|name| name.to_str())
}

/// Every setting as `NAME=value`, with the source of its value; `origin` gives the source of a variable. Secrets are masked.
pub fn table(matches: &ArgMatches, origin: impl Fn(&str) -> String) -> String {
    let mut out = String::new();
    let mut heading = None;
    for arg in command().get_arguments() {
        let Some(name) = variable(arg) else { continue };
        if arg.get_help_heading() != heading {
            heading = arg.get_help_heading();
            let gap = if out.is_empty() { "" } else { "\n" };
            let _ = writeln!(out, "{gap}# {}", heading.unwrap_or_default());
        }
        let id = arg.get_id().as_str();
        let value = matches
            .get_raw(id)
            .map(|values| values.map(|value| value.to_string_lossy().into_owned()).collect::<Vec<_>>().join(","));
        let source = match matches.value_source(id) {
            Some(ValueSource::CommandLine) => "flag".to_owned(),
            Some(ValueSource::EnvVariable) => origin(name),
            Some(_) => "default".to_owned(),
            None => "not set".to_owned(),
        };
        let shown = match value {
            Some(_) if arg.is_hide_env_values_set() => MASK.to_owned(),
            value => value.unwrap_or_default(),
        };
        let _ = writeln!(out, "{:<44} # {source}", format!("{name}={shown}"));
    }
    out
}

/// `.env.example`: every setting with its description and default.
pub fn example() -> String {
    let mut out = String::from(
        "# Settings of tandem. Copy to .env, or set them in the environment; each is also a flag (tandem serve --help).\n\
         # A line that is commented out shows the default. `tandem config` prints what is in force.\n\
         #\n\
         # How .env is read. A value is what is written: nothing is replaced in it, and a $ is a $.\n\
         #   NAME=value       Spaces around the value, a leading `export`, a byte order mark and the CR of CRLF do not count. A # after a\n\
         #                    space begins a comment, as does one at the start of a line. The last line of a name holds.\n\
         #   NAME='value'     By the letter, over several lines too. There is no way to write a ' in it.\n\
         #   NAME=\"value\"     The same, with \\n, \\r, \\t, \\\", \\\\ and \\$. Only a comment may follow a closing quote.\n\
         #   NAME             Nothing: the environment has it, or nobody. The environment wins over this file, unless it has an empty value.\n\
         # Compose reads the same file, but there $NAME is replaced and $$ is one $, unless it is in single quotes: write a value that has\n\
         # a $ as 'pa$word'. `docker run --env-file` keeps quotes and comments as a part of the value. A value of letters, digits and\n\
         # . _ - : / is the same everywhere. scripts/compose-secrets.sh makes such ones.\n",
    );
    let mut heading = None;
    for arg in command().get_arguments() {
        let Some(name) = variable(arg) else { continue };
        if arg.get_help_heading() != heading {
            heading = arg.get_help_heading();
            let _ = writeln!(out, "\n## {}", heading.unwrap_or_default());
        }
        let default: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(out, "\n# {help}\n# {name}={}", default.join(","));
    }
    out
}

/// The variable of every setting.
pub fn variables() -> Vec<String> {
    command().get_arguments().filter_map(variable).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn example_is_what_the_repository_has() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/.env.example");
        let written = std::fs::read_to_string(path).unwrap();
        assert!(written == example(), "run: cargo run -- config --example > .env.example");
    }

    #[test]
    fn secrets_are_masked() {
        let matches = command().get_matches_from(["tandem", "--turn-secret", "hush", "--port", "5"]);
        let table = table(&matches, |_| "environment variable".to_owned());
        assert!(!table.contains("hush"));
        assert!(table.contains("TURN_SECRET=********"));
        assert!(table.lines().any(|line| line.starts_with("PORT=5 ") && line.ends_with("# flag")), "{table}");
    }
}
