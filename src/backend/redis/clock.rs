use redis::Script;

/// Asks Redis what time it is, in microseconds since 1970. Its key says which server of a Redis Cluster is asked.
pub(super) fn clock_script() -> Script {
    Script::new(include_str!("time.lua"))
}
