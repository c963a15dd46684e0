use redis::Script;

/// The script that returns the time of Redis, in microseconds since 1970. In a Redis Cluster its key selects the server.
pub(super) fn clock_script() -> Script {
    Script::new(include_str!("time.lua"))
}
