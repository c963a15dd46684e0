//! Suggests the setting that an unknown variable probably means.

/// Names of settings in other programs, or in earlier versions.
const SYNONYMS: &[(&str, &[&str])] = &[
    (
        "REDIS_URL",
        &[
            "REDIS_URI",
            "REDIS_DSN",
            "REDIS_ADDR",
            "REDIS_ADDRESS",
            "REDIS_SERVER",
            "REDIS_NODES",
            "REDIS_TLS_URL",
            "REDIS_CONNECTION",
            "REDIS_CONNECTION_STRING",
            "REDIS_CONNECTION_URL",
            "REDISCLOUD_URL",
            "VALKEY_URL",
        ],
    ),
    ("REDIS_HOST", &["REDIS_HOSTNAME", "REDIS_MASTER_HOST"]),
    ("REDIS_PASSWORD", &["REDIS_PASS", "REDIS_AUTH", "REDIS_SECRET"]),
    ("REDIS_USERNAME", &["REDIS_USER"]),
    ("REDIS_DB", &["REDIS_DATABASE"]),
    ("REDIS_PREFIX", &["REDIS_KEY_PREFIX"]),
    ("REDIS_MASTER", &["REDIS_MASTER_NAME"]),
    (
        "DATABASE_URL",
        &[
            "DATABASE_URI",
            "DATABASE_DSN",
            "DATABASE_CONNECTION_STRING",
            "DB_URL",
            "DB_URI",
            "DB_DSN",
            "PG_URL",
            "PG_URI",
            "PG_DSN",
            "POSTGRES_URL",
            "POSTGRES_URI",
            "POSTGRES_DSN",
            "POSTGRESQL_URL",
            "POSTGRESQL_URI",
        ],
    ),
    ("POSTGRES_HOST", &["POSTGRESQL_HOST", "POSTGRES_HOSTNAME", "PG_HOST", "DB_HOST", "DATABASE_HOST"]),
    ("POSTGRES_PORT", &["POSTGRESQL_PORT", "PG_PORT", "DB_PORT", "DATABASE_PORT"]),
    ("POSTGRES_USER", &["POSTGRES_USERNAME", "POSTGRESQL_USERNAME", "PG_USER", "DB_USER", "DB_USERNAME"]),
    ("POSTGRES_PASSWORD", &["POSTGRES_PASS", "POSTGRESQL_PASSWORD", "PG_PASSWORD", "DB_PASSWORD", "DB_PASS"]),
    (
        "POSTGRES_DB",
        &["POSTGRES_DATABASE", "POSTGRES_DBNAME", "POSTGRES_NAME", "POSTGRESQL_DATABASE", "PG_DATABASE", "DB_NAME"],
    ),
    ("POSTGRES_SSLMODE", &["POSTGRES_SSL", "POSTGRES_TLS", "DB_SSLMODE", "DB_SSL"]),
    ("LOG_LEVEL", &["LOGLEVEL", "LOG_LVL", "LOGGING_LEVEL", "LOG_VERBOSITY"]),
    ("LOG_FORMAT", &["LOGFORMAT", "LOG_STYLE"]),
    (
        "HOST",
        &[
            "LISTEN",
            "LISTEN_ADDR",
            "LISTEN_ADDRESS",
            "LISTEN_HOST",
            "BIND",
            "BIND_ADDR",
            "BIND_ADDRESS",
            "BIND_HOST",
            "SERVER_HOST",
        ],
    ),
    ("PORT", &["LISTEN_PORT", "HTTP_PORT", "SERVER_PORT", "BIND_PORT"]),
    (
        "TLS_CERT_FILE",
        &["TLS_CERT", "TLS_CERTIFICATE", "TLS_CERT_PATH", "SSL_CERT", "SSL_CERTIFICATE", "SSL_CERT_PATH"],
    ),
    ("TLS_KEY_FILE", &["TLS_KEY", "TLS_KEY_PATH", "TLS_PRIVATE_KEY", "SSL_KEY", "SSL_KEY_FILE", "SSL_KEY_PATH"]),
    ("MAX_CONNECTIONS", &["MAX_SOCKETS", "MAX_CLIENTS", "MAX_CONNS"]),
    ("TRUST_PROXY_HOPS", &["TRUST_PROXY", "PROXY_HOPS"]),
    ("ALLOWED_ORIGINS", &["CORS_ORIGIN", "CORS_ORIGINS", "CORS_ALLOWED_ORIGINS", "ALLOW_ORIGINS"]),
    ("PUBLIC_URL", &["BASE_URL", "EXTERNAL_URL", "SITE_URL"]),
    ("TANDEM_SECRET", &["SECRET", "SECRET_KEY", "APP_SECRET"]),
    ("TANDEM_DATA_DIR", &["DATA_DIR", "DATADIR"]),
    ("ICE_SERVERS", &["ICE_URLS", "RTC_ICE_SERVERS"]),
    ("STUN_URLS", &["STUN_SERVER", "STUN_SERVERS"]),
    ("TURN_URLS", &["TURN_SERVER", "TURN_SERVERS"]),
    ("TURN_SECRET", &["TURN_AUTH_SECRET", "TURN_SHARED_SECRET", "TURN_STATIC_AUTH_SECRET"]),
];

/// Names similar to a setting that other programs use.
const OTHERS: &[&str] = &["NODE_IP", "NODE_OS", "POD_ID", "LOG_DIR", "LOG_FILE", "SSL_CERT_FILE"];

/// Suffixes for the unit of a setting.
const UNITS: &[&str] = &["_SECONDS", "_SECS", "_SEC", "_S", "_MS", "_MILLIS", "_BYTES"];

/// The setting that `name` probably means. `is_set` says whether a setting was given under its own name: then a synonym is for another
/// program.
pub(super) fn meant<'a>(name: &str, settings: &[&'a str], is_set: &dyn Fn(&str) -> bool) -> Option<&'a str> {
    if settings.contains(&name) || OTHERS.contains(&name) {
        return None;
    }
    let setting = |wanted: &str| settings.iter().copied().find(|setting| *setting == wanted);
    if let Some(own) = name.strip_prefix("TANDEM_") {
        let full = |wanted: &str| settings.iter().copied().find(|setting| plain(setting) == plain(wanted));
        if let Some(found) = full(own).or_else(|| meant(own, settings, &|_| false)) {
            return Some(found);
        }
    }
    if let Some((wanted, _)) = SYNONYMS.iter().find(|(_, names)| names.contains(&name)) {
        return setting(wanted).filter(|wanted| !is_set(wanted));
    }
    let letters = plain(name);
    let near = |setting: &&'a str| {
        let wanted = plain(setting);
        let slips = match wanted.len() {
            0..=5 => return false,
            6..=9 => 1,
            _ => 2,
        };
        slip(&letters, &wanted, slips) || without_unit(name).is_some_and(|stem| Some(stem) == without_unit(setting))
    };
    settings
        .iter()
        .copied()
        .find(|setting| plain(setting) == letters && letters.len() > 5)
        .or_else(|| settings.iter().copied().find(near))
}

/// Only the letters, in one case.
fn plain(name: &str) -> Vec<u8> {
    name.bytes().filter(|byte| !b"_-.".contains(byte)).map(|byte| byte.to_ascii_uppercase()).collect()
}

/// A name without its unit, such as `PING_INTERVAL` for `PING_INTERVAL_MS`: at least two words.
fn without_unit(name: &str) -> Option<&str> {
    let stem = UNITS.iter().find_map(|unit| name.strip_suffix(unit)).unwrap_or(name);
    stem.contains('_').then_some(stem)
}

/// Whether two names differ by at most `most` typing errors: a missing, additional, wrong or swapped letter.
fn slip(one: &[u8], two: &[u8], most: usize) -> bool {
    if one.len().abs_diff(two.len()) > most {
        return false;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=two.len()).collect();
    for (row, letter) in one.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, other) in two.iter().enumerate() {
            let at = |line: &[usize], column: usize| line.get(column).copied().unwrap_or(usize::MAX - 1);
            let mut cost = (at(&last, column) + usize::from(letter != other))
                .min(at(&last, column + 1) + 1)
                .min(at(&next, column) + 1);
            let crossed =
                row > 0 && column > 0 && one.get(row - 1) == Some(other) && two.get(column - 1) == Some(letter);
            if crossed {
                cost = cost.min(at(&before, column - 1) + 1);
            }
            next.push(cost);
        }
        before = std::mem::replace(&mut last, next);
    }
    last.last().is_some_and(|cost| *cost <= most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::variables;

    fn guess(name: &str) -> Option<String> {
        let all = variables();
        let settings: Vec<_> = all.iter().map(String::as_str).collect();
        meant(name, &settings, &|_| false).map(str::to_owned)
    }

    #[test]
    fn what_was_meant() {
        for (name, wanted) in [
            ("MAX_CONECTIONS", "MAX_CONNECTIONS"),
            ("MAX_CONNECTION", "MAX_CONNECTIONS"),
            ("MAXCONNECTIONS", "MAX_CONNECTIONS"),
            ("max_connections", "MAX_CONNECTIONS"),
            ("REDIS_URI", "REDIS_URL"),
            ("REDIS_ULR", "REDIS_URL"),
            ("REDSI_URL", "REDIS_URL"),
            ("REDIS_PASWORD", "REDIS_PASSWORD"),
            ("REDIS_USER", "REDIS_USERNAME"),
            ("POSTGRES_URL", "DATABASE_URL"),
            ("PG_URL", "DATABASE_URL"),
            ("DB_URL", "DATABASE_URL"),
            ("DATABSE_URL", "DATABASE_URL"),
            ("LOGLEVEL", "LOG_LEVEL"),
            ("LOG_LEVLE", "LOG_LEVEL"),
            ("LISTEN", "HOST"),
            ("TANDEM_PORT", "PORT"),
            ("TANDEM_DATADIR", "TANDEM_DATA_DIR"),
            ("TANDEM_SECRETS", "TANDEM_SECRET"),
            ("TANDEM_LOG_LEVEL", "LOG_LEVEL"),
            ("TANDEM_REDIS_URI", "REDIS_URL"),
            ("STUN_URL", "STUN_URLS"),
            ("TURN_URL", "TURN_URLS"),
            ("ICE_SERVER", "ICE_SERVERS"),
            ("ALLOWED_ORIGIN", "ALLOWED_ORIGINS"),
            ("TRUST_PROXY", "TRUST_PROXY_HOPS"),
            ("PING_INTERVAL", "PING_INTERVAL_SECONDS"),
            ("PING_INTERVAL_MS", "PING_INTERVAL_SECONDS"),
            ("HOST_GRACE", "HOST_GRACE_SECONDS"),
        ] {
            assert_eq!(guess(name).as_deref(), Some(wanted), "{name}");
        }
        let set = |name: &str| name == "REDIS_URL";
        assert_eq!(meant("REDIS_URI", &["REDIS_URL"], &set), None, "set under its own name");
    }

    /// The environment of shells, desktops, containers, pipelines and of what runs beside a node.
    #[test]
    fn what_others_set_is_no_mistake() {
        const OTHERS: &str = "PATH HOME USER LOGNAME SHELL PWD OLDPWD TERM TERM_PROGRAM COLORTERM LANG LC_ALL LC_CTYPE LANGUAGE TZ \
            EDITOR VISUAL PAGER LESS MAIL HOSTNAME HOSTTYPE OSTYPE MACHTYPE SHLVL _ PS1 IFS COLUMNS LINES DISPLAY WAYLAND_DISPLAY \
            XAUTHORITY XDG_RUNTIME_DIR XDG_SESSION_ID XDG_DATA_DIRS XDG_CONFIG_DIRS DBUS_SESSION_BUS_ADDRESS SSH_CONNECTION \
            SSH_CLIENT SSH_TTY SSH_AUTH_SOCK SUDO_USER SUDO_UID GPG_AGENT_INFO LS_COLORS TMPDIR TMP TEMP HISTFILE HISTSIZE \
            http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY container CONTAINER \
            INVOCATION_ID JOURNAL_STREAM NOTIFY_SOCKET LISTEN_FDS LISTEN_PID LISTEN_FDNAMES WATCHDOG_USEC WATCHDOG_PID MAINPID \
            STATE_DIRECTORY RUNTIME_DIRECTORY LOGS_DIRECTORY CONFIGURATION_DIRECTORY CREDENTIALS_DIRECTORY SYSTEMD_EXEC_PID \
            KUBERNETES_SERVICE_HOST KUBERNETES_SERVICE_PORT KUBERNETES_SERVICE_PORT_HTTPS KUBERNETES_PORT KUBERNETES_PORT_443_TCP \
            KUBERNETES_PORT_443_TCP_ADDR POD_NAME POD_IP POD_NAMESPACE POD_UID NODE_NAME NODE_IP HOST_IP NAMESPACE \
            CI GITHUB_ACTIONS GITHUB_SHA GITHUB_REF GITHUB_TOKEN GITHUB_WORKSPACE RUNNER_OS RUNNER_TEMP GITLAB_CI CI_JOB_ID \
            CI_COMMIT_SHA BUILD_NUMBER BUILD_ID JOB_NAME WORKSPACE JENKINS_URL CIRCLECI TRAVIS CARGO_HOME CARGO_TARGET_DIR \
            CARGO_MANIFEST_DIR RUSTUP_HOME RUSTUP_TOOLCHAIN RUSTFLAGS RUST_LOG RUST_BACKTRACE RUST_MIN_STACK TOKIO_WORKER_THREADS \
            NODE_ENV NODE_OPTIONS NODE_PATH NODE_VERSION NODE_EXTRA_CA_CERTS NVM_DIR PYTHONPATH VIRTUAL_ENV JAVA_HOME GOPATH \
            PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE PGSSLMODE PGDATA POSTGRES_INITDB_ARGS POSTGRES_HOST_AUTH_METHOD \
            POSTGRES_PASSWORD_FILE REDISCLI_AUTH REDIS_VERSION REDIS_DOWNLOAD_URL REDIS_ARGS \
            AWS_REGION AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY GOOGLE_APPLICATION_CREDENTIALS AZURE_CLIENT_ID DYNO FLY_APP_NAME \
            FLY_REGION RENDER RAILWAY_ENVIRONMENT WEBSITE_HOSTNAME K_SERVICE K_REVISION K_CONFIGURATION ECS_CONTAINER_METADATA_URI \
            DOCKER_HOST COMPOSE_PROJECT_NAME COMPOSE_FILE SSL_CERT_FILE SSL_CERT_DIR MALLOC_CONF _RJEM_MALLOC_CONF LD_LIBRARY_PATH \
            LD_PRELOAD OTEL_EXPORTER_OTLP_ENDPOINT OTEL_SERVICE_NAME SENTRY_DSN VERSION DEBUG VERBOSE SITE TURN_HOST \
            TURN_EXTERNAL_IP GRAFANA_PASSWORD IMAGE TAG REGISTRY";
        for name in OTHERS.split_whitespace() {
            assert_eq!(guess(name), None, "{name}");
        }
    }

    #[test]
    fn every_synonym_is_of_a_setting_and_none_itself() {
        let settings = variables();
        for (setting, names) in SYNONYMS {
            assert!(settings.iter().any(|known| known == setting), "{setting}");
            assert!(names.iter().all(|name| !settings.iter().any(|known| known == name)), "{names:?}");
        }
    }
}
