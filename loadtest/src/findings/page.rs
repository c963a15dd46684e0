use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{
    AT, Findings, Growth, Series,
    finish::shown,
    plot::{self, Across, plot},
};

const STYLE: &str = include_str!("page.css");

/// Everything on one page that needs nothing else.
pub(super) fn page(findings: &Findings) -> Markup {
    let passed = findings.verdicts.iter().all(|verdict| verdict.passed);
    let when = jiff::Timestamp::from_second(i64::try_from(findings.made_at).unwrap_or(0)).unwrap_or_default();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "tandem: " (findings.scenario) }
                style { (PreEscaped(plot::STYLE)) (PreEscaped(STYLE)) }
            }
            body {
                h1 { (findings.scenario) " " (word(passed)) }
                p.about {
                    (when) ", " (findings.machine.cpus) " × " (findings.machine.cpu) ", Linux " (findings.machine.kernel) br;
                    code { "loadtest " (arguments(findings)) }
                }
                h2 { "What must hold" }
                (verdicts(findings))
                @if !findings.complaints.is_empty() {
                    h2 { "Complaints" }
                    @for complaint in &findings.complaints { code { (complaint) } br; }
                }
                h2 { "Plots" }
                div.plots {
                    @for (name, lines) in findings.growth.iter().flat_map(Growth::plots) {
                        (plot(&name, &Across::sizes(&lines), &lines.iter().collect::<Vec<_>>()))
                    }
                    (plots(&findings.curves, &Across::Quantile))
                    (plots(&findings.series, &Across::Time))
                }
                @if let Some(growth) = &findings.growth {
                    h2 { "By " (growth.across) }
                    div.wide { (points(growth)) }
                }
                h2 { "Figures" }
                div.figures { table { tbody {
                    @for (name, value) in findings.figures.iter().filter(|(name, _)| !name.contains(AT)) {
                        tr { td { (name) } td.n { (shown(*value)) } }
                    }
                } } }
            }
        }
    }
}

/// The program's own path is of no interest.
fn arguments(findings: &Findings) -> String {
    findings.command.iter().skip(1).cloned().collect::<Vec<_>>().join(" ")
}

fn word(passed: bool) -> Markup {
    html! { @if passed { span.good { "passed" } } @else { span.bad { "missed" } } }
}

fn verdicts(findings: &Findings) -> Markup {
    html! {
        table { tbody {
            @for verdict in &findings.verdicts {
                tr {
                    td { (verdict.rule) }
                    td.n { (verdict.value.map(shown).unwrap_or_default()) }
                    td { (word(verdict.passed)) }
                }
            }
        } }
    }
}

/// One row for each.
fn points(growth: &Growth) -> Markup {
    html! {
        table {
            thead { tr {
                th { (growth.across) }
                @for column in growth.known() { th.n { (column.head) } }
                th {}
            } }
            tbody {
                @for point in &growth.points {
                    tr {
                        td { (point.name()) }
                        @for column in growth.known() {
                            td.n { (point.figures.get(&column.figure).copied().map(shown).unwrap_or_default()) }
                        }
                        td { (point.note) }
                    }
                }
            }
        }
    }
}

/// One for each name of a plot, in the order in which they come.
fn plots(all: &[Series], across: &Across) -> Markup {
    let mut names: Vec<&str> = Vec::new();
    for series in all {
        if !names.contains(&series.plot.as_str()) {
            names.push(&series.plot);
        }
    }
    html! {
        @for name in names {
            (plot(name, across, &all.iter().filter(|series| series.plot == name).collect::<Vec<_>>()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_needs_nothing_else() {
        let record = crate::crowd::Record::new();
        record.count("sent", 1);
        record.arrived("chat", 0);
        let mut findings = Findings::new("party");
        findings.take(&record, 4);
        findings.judge(["lost=0".parse().unwrap()].into_iter());
        findings.growth = Some(super::super::growth::tests::growth());
        findings.figure(&format!("a{AT}1"), 5.0);
        let page = page(&findings).into_string();
        assert!(page.contains("P, by nodes") && !page.contains("a@1"));
        assert!(page.contains("<svg") && page.contains("passed"));
        for foreign in ["src=", "href=", "@import", "url("] {
            assert!(!page.contains(foreign), "{foreign}");
        }
    }
}
