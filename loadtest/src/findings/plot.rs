//! Lines as SVG, in the colours of the page around them.

use maud::{Markup, html};

use super::Series;

/// The picture, and the room for the numbers at its sides.
const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 52.0;
const BOTTOM: f64 = 24.0;
const TOP: f64 = 8.0;
const RIGHT: f64 = 24.0;

/// Colours that the page has.
const COLOURS: usize = 8;

/// What the places on the x axis mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Across {
    /// Seconds.
    Time,
    /// The part of all that were faster, each step a tenth of what is left.
    Quantile,
}

impl Across {
    fn place(self, x: f64) -> f64 {
        match self {
            Self::Time => x,
            Self::Quantile => -(1.0 - x).max(1e-4).log10(),
        }
    }

    fn marks(self, most: f64) -> Vec<(f64, String)> {
        match self {
            Self::Time => steps(most).into_iter().map(|at| (at, format!("{at} s"))).collect(),
            Self::Quantile => [(0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %"), (0.9999, "99.99 %")]
                .map(|(quantile, name)| (self.place(quantile), name.to_owned()))
                .into(),
        }
    }
}

/// One plot with its legend.
pub(super) fn plot(title: &str, across: Across, lines: &[&Series]) -> Markup {
    let points = || lines.iter().flat_map(|line| &line.points);
    let most_x = points().map(|(x, _)| across.place(*x)).fold(f64::EPSILON, f64::max);
    let steps_y = steps(points().map(|(_, y)| *y).fold(f64::EPSILON, f64::max));
    let most_y = steps_y.last().copied().unwrap_or(1.0);
    let x = |value: f64| LEFT + value / most_x * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - value / most_y * (HEIGHT - BOTTOM - TOP);
    html! {
        figure {
            figcaption { (title) }
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(title) {
                @for at in &steps_y {
                    line.grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(round(y(*at))) y2=(round(y(*at))) {}
                    text.y x=(LEFT - 6.0) y=(round(y(*at) + 4.0)) { (number(*at)) }
                }
                @for (at, name) in across.marks(most_x).iter().filter(|(at, _)| *at <= most_x * 1.001) {
                    text.x x=(round(x(*at))) y=(HEIGHT - 6.0) { (name) }
                }
                @for (number, line) in lines.iter().enumerate() {
                    polyline class=(colour(number)) points=(path(line, |px, py| (x(across.place(px)), y(py)))) {}
                }
            }
            ul {
                @for (number, line) in lines.iter().enumerate() {
                    li class=(colour(number)) { (line.name) }
                }
            }
        }
    }
}

fn colour(number: usize) -> String {
    format!("c{}", number % COLOURS)
}

fn path(line: &Series, place: impl Fn(f64, f64) -> (f64, f64)) -> String {
    let points = line.points.iter().map(|(x, y)| {
        let (x, y) = place(*x, *y);
        format!("{},{}", round(x), round(y))
    });
    points.collect::<Vec<_>>().join(" ")
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Round numbers from 0 to somewhat above `most`.
fn steps(most: f64) -> Vec<f64> {
    let magnitude = 10_f64.powf((most / 4.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|it| it * magnitude).into_iter().find(|step| step * 4.0 >= most);
    let step = step.unwrap_or(magnitude * 10.0);
    (0..=4_u32).map(|it| f64::from(it) * step).take_while(|at| *at < most + step).collect()
}

fn number(value: f64) -> String {
    match value {
        _ if value >= 10_000.0 => format!("{} k", round(value / 1_000.0)),
        _ if value >= 10.0 || value.fract().abs() < 1e-9 => format!("{value:.0}"),
        _ => format!("{}", (value * 1_000.0).round() / 1_000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_numbers() {
        assert_eq!(steps(7.3), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(steps(100.0), [0.0, 50.0, 100.0]);
        assert_eq!(number(12_500.0), "12.5 k");
        assert_eq!(number(0.05), "0.05");
    }

    #[test]
    fn a_plot_has_its_lines_and_no_odd_places() {
        let line = |points: Vec<(f64, f64)>| Series { plot: "a".to_owned(), name: "<b>".to_owned(), points };
        let (full, empty) = (line(vec![(0.0, 0.0), (1.0, 5.0)]), line(Vec::new()));
        for across in [Across::Time, Across::Quantile] {
            let svg = plot("t", across, &[&full, &empty]).into_string();
            assert_eq!(svg.matches("<polyline").count(), 2);
            assert!(!svg.contains("NaN") && !svg.contains("inf") && svg.contains("&lt;b&gt;"), "{svg}");
        }
    }
}
