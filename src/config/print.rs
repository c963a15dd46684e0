use std::fmt::Write as _;

use clap::{Arg, ArgMatches, Args as _, Command, parser::ValueSource};

use super::Config;

/// What stands in for the value of a secret.
const MASK: &str = "********";

fn command() -> Command {
    Config::augment_args(Command::new("tandem"))
}

fn variable(arg: &Arg) -> Option<&str> {
    arg.get_env().and_then(|name| name.to_str())
}

/// Every setting as `NAME=value`, with where the value comes from. Secrets are masked.
pub fn table(matches: &ArgMatches) -> String {
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
            Some(ValueSource::CommandLine) => "flag",
            Some(ValueSource::EnvVariable) => "environment",
            Some(_) => "default",
            None => "not set",
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
         # A line that is commented out shows the default. `tandem config` prints what is in force.\n",
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

/// Variables that begin like ours but are none: a typing error that would otherwise do nothing, silently.
pub fn unknown_variables(names: impl Iterator<Item = String>) -> Vec<String> {
    let command = command();
    let known: Vec<_> = command.get_arguments().filter_map(variable).collect();
    names.filter(|name| name.starts_with("TANDEM_") && !known.contains(&name.as_str())).collect()
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
        let table = table(&matches);
        assert!(!table.contains("hush"));
        assert!(table.contains("TURN_SECRET=********"));
        assert!(table.lines().any(|line| line.starts_with("PORT=5 ") && line.ends_with("# flag")), "{table}");
    }

    #[test]
    fn misspelt_variables_are_found() {
        let names = ["TANDEM_DATA_DIR", "TANDEM_DATADIR", "PATH"].map(str::to_owned);
        assert_eq!(unknown_variables(names.into_iter()), ["TANDEM_DATADIR"]);
    }
}
