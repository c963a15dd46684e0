//! The sources of settings besides flags: the environment of the process, and `.env`.

mod blame;
mod dotenv;
mod kubernetes;
mod note;
mod suggest;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use clap::{Command, builder::Resettable};

use note::Note;

/// The file of settings, in the working directory.
const DOT_ENV: &str = ".env";
/// Maximum number of unknown variables in one message.
const MOST_GUESSES: usize = 20;

/// The settings in the environment and in `.env`, and what is wrong with them.
#[derive(Debug, Default)]
pub(super) struct Environment {
    /// The variables from `.env`, with their lines.
    from_file: BTreeMap<String, usize>,
    /// Variables with the name of a setting that Kubernetes has set.
    foreign: BTreeSet<String>,
    /// Notes for the log, once it is open.
    notes: Vec<Note>,
}

impl Environment {
    /// Reads `.env`, and checks the environment. An error has to be fixed by the user.
    pub(super) fn read(command: &Command) -> Result<Self, String> {
        let mut environment = Self::default();
        // Before the file is loaded, because a file does not contain such values by accident.
        environment.find_foreign(&blame::variables(command));
        environment.load()?;
        environment.find_unknown(&blame::variables(command))?;
        Ok(environment)
    }

    fn find_foreign(&mut self, settings: &[String]) {
        let mut told: BTreeSet<String> = BTreeSet::new();
        for (name, value) in std::env::vars_os() {
            let (Some(name), value) = (name.to_str(), value.to_string_lossy()) else { continue };
            if settings.iter().any(|setting| setting == name) {
                if kubernetes::is_address(&value) {
                    self.foreign.insert(name.to_owned());
                    told.insert(name.to_owned());
                }
            } else if name.starts_with("TANDEM_")
                && (kubernetes::is_address(&value) || kubernetes::is_of_a_service(name))
            {
                told.insert(name.to_owned());
            }
        }
        if !told.is_empty() {
            self.notes.push(Note::OfServices(told.into_iter().collect()));
        }
    }

    /// Loads the file. A variable of the environment takes precedence, unless it is empty or set by Kubernetes.
    fn load(&mut self) -> Result<(), String> {
        let bytes = match std::fs::read(DOT_ENV) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                self.notes.push(Note::Unreadable(error));
                return Ok(());
            }
        };
        let entries = dotenv::parse(&bytes).map_err(|fault| format!("{DOT_ENV}: {fault}"))?;
        let mut wanted = String::new();
        let mut lines: BTreeMap<String, usize> = BTreeMap::new();
        for dotenv::Entry { name, value, line } in entries {
            if let Some(before) = lines.insert(name.clone(), line) {
                self.notes.push(Note::Twice { name: name.clone(), before, line });
            }
            let is_given = std::env::var_os(&name).is_some_and(|value| !value.is_empty());
            if !is_given || self.foreign.contains(&name) {
                // In a notation that dotenvy reads literally.
                let _ = writeln!(wanted, "{name}='{}'", value.replace('\'', r"'\''"));
                self.from_file.insert(name, line);
            }
        }
        self.foreign.retain(|name| !self.from_file.contains_key(name));
        // The function of the standard library is unsafe; no other thread that could read the environment runs yet.
        dotenvy::from_read_override(wanted.as_bytes()).map_err(|_| format!("{DOT_ENV}: a value cannot be used"))?;
        let path = std::env::current_dir().unwrap_or_default().join(DOT_ENV);
        self.notes.insert(0, Note::Read { path, settings: self.from_file.len() });
        Ok(())
    }

    /// The variables that the file has now. It notes their lines, for messages.
    pub(super) fn reread(&mut self) -> Result<BTreeMap<String, String>, String> {
        let bytes = match std::fs::read(DOT_ENV) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(format!("{DOT_ENV} cannot be read: {error}")),
        };
        let entries = dotenv::parse(&bytes).map_err(|fault| format!("{DOT_ENV}: {fault}"))?;
        let mut values = BTreeMap::new();
        for dotenv::Entry { name, value, line } in entries {
            if self.of_process(&name).is_none() {
                self.from_file.insert(name.clone(), line);
            }
            values.insert(name, value);
        }
        Ok(values)
    }

    /// The value that the environment of the process had at its start, before the file was added to it.
    pub(super) fn of_process(&self, name: &str) -> Option<String> {
        if self.from_file.contains_key(name) || self.foreign.contains(name) {
            return None;
        }
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }

    /// Reports unknown variables, because a misspelled one would be ignored silently.
    fn find_unknown(&mut self, settings: &[String]) -> Result<(), String> {
        let settings: Vec<_> = settings.iter().map(String::as_str).collect();
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let mut wrong = Vec::new();
        let mut names: Vec<_> = std::env::vars_os()
            .filter(|(_, value)| !kubernetes::is_address(&value.to_string_lossy()))
            .filter_map(|(name, _)| name.into_string().ok())
            .filter(|name| !settings.contains(&name.as_str()) && !kubernetes::is_of_a_service(name))
            .collect();
        names.sort();
        for name in names {
            let meant = suggest::meant(&name, &settings, &is_set);
            if name.starts_with("TANDEM_") {
                let hint = meant.map_or_else(String::new, |meant| format!(": did you mean {meant}?"));
                wrong.push(format!("unknown setting {name} ({}){hint}", self.origin(&name)));
            } else if let Some(meant) = meant
                && self.notes.len() < MOST_GUESSES
            {
                let origin = self.origin(&name);
                self.notes.push(Note::Unknown { name, origin, meant: meant.to_owned() });
            }
        }
        if wrong.is_empty() {
            return Ok(());
        }
        Err(format!("{}; `tandem config` lists the settings there are", wrong.join("; ")))
    }

    /// The source of the value of a variable.
    pub(super) fn origin(&self, name: &str) -> String {
        self.from_file
            .get(name)
            .map_or_else(|| "environment variable".to_owned(), |line| format!("{DOT_ENV} line {line}"))
    }

    /// Names each setting by its variable in help and errors, and treats an empty variable as not set: compose files and charts set empty
    /// values for what was not given.
    pub(super) fn name_args_by_env(&self, command: Command) -> Command {
        let own = command.mut_args(|arg| {
            let Some(name) = arg.get_env().map(|name| name.to_string_lossy().into_owned()) else { return arg };
            let value = std::env::var_os(&name);
            let arg = if arg.get_action().takes_values() { arg.value_name(name.clone()) } else { arg };
            if self.foreign.contains(&name) || value.is_some_and(|value| value.is_empty()) {
                return arg.env(Resettable::Reset);
            }
            arg.env(name)
        });
        own.mut_subcommands(|command| self.name_args_by_env(command))
    }

    /// A better message for an error in the settings than that of clap, if there is one.
    pub(super) fn explain(&self, error: &clap::Error, command: &Command) -> Option<String> {
        blame::explain(error, command, self)
    }

    /// Logs the notes.
    pub(super) fn log(&self) {
        self.notes.iter().for_each(Note::log);
    }

    /// Prints the warnings to standard error, for commands without a log.
    pub(super) fn print(&self) {
        for note in self.notes.iter().filter(|note| note.is_warning()) {
            eprintln!("tandem: {note}");
        }
    }
}
