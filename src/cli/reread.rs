//! The settings of a running node, read again: those in `.env` may have changed, while flags and the environment of a process cannot.

use std::collections::BTreeMap;

use clap::{ArgMatches, Args as _, Command, FromArgMatches as _, builder::Resettable, parser::ValueSource};

use super::environment::Environment;
use crate::{
    config::{Config, MASK},
    node::{Change, Settings},
};

/// Where settings come from.
pub(super) struct Reread {
    /// By their ids, those that were given as flags.
    flags: BTreeMap<String, String>,
    environment: Environment,
    /// By their variables, those in force.
    known: BTreeMap<String, String>,
}

impl Reread {
    pub(super) fn new(matches: &ArgMatches, environment: Environment) -> Self {
        let mut flags = BTreeMap::new();
        for arg in command().get_arguments() {
            let id = arg.get_id().as_str();
            // An argument of another command has no source here.
            let source = matches.try_contains_id(id).ok().and_then(|_| matches.value_source(id));
            if source == Some(ValueSource::CommandLine)
                && let Some(values) = matches.get_raw(id)
            {
                let values: Vec<_> = values.map(|value| value.to_string_lossy()).collect();
                flags.insert(id.to_owned(), values.join(","));
            }
        }
        let mut this = Self { flags, environment, known: BTreeMap::new() };
        // It was read a moment ago; if the file has been broken since, that is told at the next SIGHUP.
        this.known = this.environment.reread().map(|file| this.values(&file)).unwrap_or_default();
        this
    }

    /// Reads them now. An error names the setting, and shows no secret.
    pub(super) fn read(&mut self) -> Result<Settings, String> {
        let file = self.environment.reread()?;
        let values = self.values(&file);
        let command = command();
        let mut line = vec!["tandem".to_owned()];
        for arg in command.get_arguments() {
            if let (Some(name), Some(long)) = (variable(arg), arg.get_long())
                && let Some(value) = values.get(name)
            {
                line.push(format!("--{long}={value}"));
            }
        }
        let bare = command.clone().mut_args(|arg| arg.env(Resettable::Reset));
        let matches = bare.try_get_matches_from(line).map_err(|error| {
            self.environment.explain(&error, &command).unwrap_or_else(|| format!("{}", error.kind()))
        })?;
        let config = Config::from_arg_matches(&matches).map_err(|error| error.kind().to_string())?;
        let mut changed = Vec::new();
        for arg in command.get_arguments() {
            let Some(name) = variable(arg) else { continue };
            if values.get(name) == self.known.get(name) {
                continue;
            }
            let shown = match values.get(name) {
                Some(_) if arg.is_hide_env_values_set() => MASK.to_owned(),
                Some(value) => value.clone(),
                None => "the default".to_owned(),
            };
            changed.push(Change { name: name.to_owned(), shown });
        }
        self.known = values;
        Ok(Settings { config, changed })
    }

    /// The value of each setting that is given.
    fn values(&self, file: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut values = BTreeMap::new();
        for arg in command().get_arguments() {
            let Some(name) = variable(arg) else { continue };
            let flag = self.flags.get(arg.get_id().as_str()).cloned();
            let value = flag.or_else(|| self.environment.of_process(name)).or_else(|| file.get(name).cloned());
            values.extend(value.filter(|value| !value.is_empty()).map(|value| (name.to_owned(), value)));
        }
        values
    }
}

fn command() -> Command {
    Config::augment_args(Command::new("tandem"))
}

fn variable(arg: &clap::Arg) -> Option<&str> {
    arg.get_env().and_then(|name| name.to_str())
}
