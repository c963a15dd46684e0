use std::fmt::Write as _;

/// Metrics that were renamed: the old name and the new one. Both are exported for one more release (`docs/compatibility.md`); then the row
/// is removed.
const RENAMED: [(&str, &str); 3] = [
    ("tandem_partings_total", "tandem_peer_disconnects_total"),
    ("tandem_echo_seconds", "tandem_redis_probe_seconds"),
    ("tandem_echo_age_seconds", "tandem_redis_probe_age_seconds"),
];
/// The release in which the new names appeared.
const SINCE: &str = "0.1.0";

/// Adds each renamed metric under its old name to `text`, which is in the `OpenMetrics` format.
pub(super) fn with_old_names(text: &str) -> String {
    let mut all = String::with_capacity(text.len() + text.len() / 32);
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let name = line.strip_prefix("# HELP ").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
        let renamed = RENAMED.iter().find(|(_, new)| base(new) == name);
        let mut copy =
            renamed.map(|(old, new)| format!("# HELP {} Deprecated since {SINCE}: renamed to {new}.\n", base(old)));
        push_line(&mut all, line);
        // A metric is everything up to the HELP of the next one, or to the end.
        while let Some(line) = lines.next_if(|line| !line.starts_with("# HELP ") && !line.starts_with("# EOF")) {
            push_line(&mut all, line);
            if let (Some((old, new)), Some(copy)) = (renamed, &mut copy) {
                push_line(copy, &line.replacen(base(new), base(old), 1));
            }
        }
        all.push_str(&copy.unwrap_or_default());
    }
    all
}

/// The name of a metric in HELP and TYPE of `OpenMetrics`, where a counter has no suffix.
fn base(name: &str) -> &str {
    name.strip_suffix("_total").unwrap_or(name)
}

fn push_line(text: &mut String, line: &str) {
    // Writing into a String cannot fail.
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renamed_metric_has_both_names_and_the_old_one_says_so() {
        let text = "# HELP tandem_peer_disconnects Sockets.\n# TYPE tandem_peer_disconnects counter\n\
                    tandem_peer_disconnects_total{how=\"gone\"} 2\n# HELP tandem_other Other.\n# TYPE tandem_other gauge\ntandem_other 1\n\
                    # HELP tandem_redis_probe_seconds Time.\n# TYPE tandem_redis_probe_seconds gauge\ntandem_redis_probe_seconds 0.5\n# EOF\n";
        let expected = "# HELP tandem_peer_disconnects Sockets.\n# TYPE tandem_peer_disconnects counter\n\
                    tandem_peer_disconnects_total{how=\"gone\"} 2\n\
                    # HELP tandem_partings Deprecated since 0.1.0: renamed to tandem_peer_disconnects_total.\n# TYPE tandem_partings counter\n\
                    tandem_partings_total{how=\"gone\"} 2\n# HELP tandem_other Other.\n# TYPE tandem_other gauge\ntandem_other 1\n\
                    # HELP tandem_redis_probe_seconds Time.\n# TYPE tandem_redis_probe_seconds gauge\ntandem_redis_probe_seconds 0.5\n\
                    # HELP tandem_echo_seconds Deprecated since 0.1.0: renamed to tandem_redis_probe_seconds.\n# TYPE tandem_echo_seconds gauge\n\
                    tandem_echo_seconds 0.5\n# EOF\n";
        assert_eq!(with_old_names(text), expected);
    }

    #[test]
    fn a_text_without_renamed_metrics_stays_as_it_is() {
        let text = "# HELP tandem_other Other.\n# TYPE tandem_other gauge\ntandem_other 1\n# EOF\n";
        assert_eq!(with_old_names(text), text);
    }
}
