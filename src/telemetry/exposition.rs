use std::fmt::Write as _;

/// The text formats of metrics. A scraper takes the name of a format as a promise, and rejects the whole text when one line breaks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The Prometheus text format 0.0.4.
    Text,
}

impl Format {
    /// The content type of the answer.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// Converts `open_metrics`, the output of the registry, to this format.
    pub fn write(self, open_metrics: String) -> String {
        match self {
            Self::OpenMetrics => open_metrics,
            Self::Text => text(&open_metrics),
        }
    }
}

/// Converts to format 0.0.4: HELP and TYPE name the metric with its suffix, there are fewer types, and neither UNIT nor EOF.
fn text(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len() + open_metrics.len() / 8);
    let mut help = "";
    for line in open_metrics.lines() {
        if let Some(words) = line.strip_prefix("# HELP ") {
            // HELP comes before TYPE, but needs the suffix that depends on the type.
            help = words.split_once(' ').map_or("", |(_, words)| words);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')) {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "gauge" | "stateset" => ("", "gauge"),
                "histogram" | "summary" => ("", kind),
                _ => ("", "untyped"),
            };
            if !help.is_empty() {
                let _ = writeln!(text, "# HELP {name}{suffix} {}", help.replace("\\\"", "\""));
            }
            let _ = writeln!(text, "# TYPE {name}{suffix} {kind}");
            help = "";
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_types_are_those_of_the_older_format() {
        let old = "# HELP tandem_build What runs here.\n# TYPE tandem_build info\ntandem_build_info{version=\"1\"} 1\n\
                   # HELP tandem_frames Frames.\n# TYPE tandem_frames counter\n# UNIT tandem_frames frames\n\
                   tandem_frames_total{type=\"# TYPE\"} 2\n\
                   # TYPE tandem_age gauge\ntandem_age 0.5\n\
                   # HELP tandem_odd Odd \\\"one\\\".\n# TYPE tandem_odd unknown\ntandem_odd 3\n\
                   # TYPE tandem_took_seconds histogram\ntandem_took_seconds_bucket{le=\"+Inf\"} 1\n# EOF\n";
        let new = "# HELP tandem_build_info What runs here.\n# TYPE tandem_build_info gauge\ntandem_build_info{version=\"1\"} 1\n\
                   # HELP tandem_frames_total Frames.\n# TYPE tandem_frames_total counter\n\
                   tandem_frames_total{type=\"# TYPE\"} 2\n\
                   # TYPE tandem_age gauge\ntandem_age 0.5\n\
                   # HELP tandem_odd Odd \"one\".\n# TYPE tandem_odd untyped\ntandem_odd 3\n\
                   # TYPE tandem_took_seconds histogram\ntandem_took_seconds_bucket{le=\"+Inf\"} 1\n";
        assert_eq!(Format::Text.write(old.to_owned()), new);
        assert_eq!(Format::OpenMetrics.write(old.to_owned()), old);
    }
}
