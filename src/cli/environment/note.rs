use std::{fmt, path::PathBuf};

/// Something about the sources of settings that the user should know.
#[derive(Debug)]
pub(super) enum Note {
    /// A file was read, and set this number of variables.
    Read { path: PathBuf, settings: usize },
    /// A file exists, but this process may not read it.
    Unreadable(std::io::Error),
    /// The file sets a variable twice; the later line counts.
    Twice { name: String, before: usize, line: usize },
    /// Variables of Kubernetes Services, which look like settings.
    OfServices(Vec<String>),
    /// A variable that is similar to a setting.
    Unknown { name: String, origin: String, meant: String },
}

impl Note {
    pub(super) fn is_warning(&self) -> bool {
        !matches!(self, Self::Read { .. })
    }

    pub(super) fn log(&self) {
        if let Self::Read { path, settings } = self {
            tracing::info!(path = %path.display(), settings, "{self}");
        } else {
            tracing::warn!("{self}");
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, .. } => write!(f, "settings were read from {}", path.display()),
            Self::Unreadable(error) => write!(f, ".env is passed over: it cannot be read: {error}"),
            Self::Twice { name, before, line } => {
                write!(f, ".env sets {name} on line {before} and on line {line}: the later line holds")
            }
            Self::OfServices(names) => write!(
                f,
                "these variables are passed over, since Kubernetes sets them for a Service of that name: {}",
                names.join(", ")
            ),
            Self::Unknown { name, origin, meant } => {
                write!(f, "{name} ({origin}) is no setting and does nothing: did you mean {meant}?")
            }
        }
    }
}
