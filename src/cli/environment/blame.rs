//! Errors that name where a value came from, and that never print a secret.

use clap::{
    Command,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::Environment;

/// The message for a wrong value of a setting. `None` for other errors, for which the message of clap is good.
pub(super) fn explain(error: &clap::Error, command: &Command, environment: &Environment) -> Option<String> {
    match error.kind() {
        ErrorKind::InvalidUtf8 => not_text(command, environment),
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => bad_value(error, command, environment),
        ErrorKind::MissingRequiredArgument => missing(error, command),
        _ => None,
    }
}

fn bad_value(error: &clap::Error, command: &Command, environment: &Environment) -> Option<String> {
    let text = |kind| match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        _ => None,
    };
    let given = text(ContextKind::InvalidArg)?;
    let flag = given.split([' ', '=']).next()?.to_owned();
    let arg = find(command, &flag)?;
    let name = arg.get_env()?.to_str()?;
    let why = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(all)) if !all.is_empty() => format!("expected one of {}", all.join(", ")),
        _ => std::error::Error::source(error).map_or_else(|| "it cannot be used".to_owned(), ToString::to_string),
    };
    // The message of a library may repeat a secret; the parsers of secrets here do not.
    let value = text(ContextKind::InvalidValue).filter(|_| !arg.is_hide_env_values_set());
    let value = value.map_or_else(String::new, |value| format!(" {value:?}"));
    let flagged = |given: &std::ffi::OsString| {
        let given = given.to_string_lossy();
        given == flag || given.strip_prefix(&flag).is_some_and(|rest| rest.starts_with('='))
    };
    let place = if std::env::args_os().any(|given| flagged(&given)) {
        format!("{flag}{value} (a flag, for {name})")
    } else {
        format!("{name}{value} ({})", environment.origin(name))
    };
    Some(format!("{place} cannot be used: {why}"))
}

/// The message for a setting that another one requires.
fn missing(error: &clap::Error, command: &Command) -> Option<String> {
    let Some(ContextValue::Strings(args)) = error.get(ContextKind::InvalidArg) else { return None };
    let name = |arg: &String| Some(find(command, arg.split([' ', '=']).next()?)?.get_env()?.to_str()?.to_owned());
    let names: Vec<_> = args.iter().map(name).collect::<Option<_>>()?;
    Some(format!("{} is missing: another setting that is given needs it", names.join(", ")))
}

/// The message for a value that is not UTF-8; clap does not say which one it is.
fn not_text(command: &Command, environment: &Environment) -> Option<String> {
    let mut names: Vec<_> = variables(command);
    names.retain(|name| std::env::var_os(name).is_some_and(|value| value.to_str().is_none()));
    let name = names.first()?;
    Some(format!("{name} ({}) cannot be used: expected UTF-8", environment.origin(name)))
}

fn find<'a>(command: &'a Command, flag: &str) -> Option<&'a clap::Arg> {
    let long = flag.strip_prefix("--")?;
    let own = command.get_arguments().find(|arg| arg.get_long() == Some(long) && arg.get_env().is_some());
    own.or_else(|| command.get_subcommands().find_map(|sub| find(sub, flag)))
}

/// The variable of every setting of a command and of those below it.
pub(super) fn variables(command: &Command) -> Vec<String> {
    let own = command.get_arguments().filter_map(|arg| arg.get_env()?.to_str().map(str::to_owned));
    let mut all: Vec<_> = own.chain(command.get_subcommands().flat_map(variables)).collect();
    all.sort();
    all.dedup();
    all
}
